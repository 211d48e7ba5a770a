#include "sharding/dry_communicator.h"

#include "base/check.h"
#include "sharding/collective_request.h"

namespace stowage {
namespace {

// Payload that rank 0 sends, as every communicator here counts it.
int64_t BytesSent(const CollectiveRequest &request, int world_size) {
  const int64_t peers = world_size - 1;
  const int64_t element = DTypeBytes(request.dtype);
  switch (request.kind) {
  case CollectiveKind::kReduceScatter:
  case CollectiveKind::kAllToAll:
    return peers * request.numel * element;
  case CollectiveKind::kAllGather:
    return peers * request.PartNumel(0) * element;
  case CollectiveKind::kAllReduce: {
    const Cut cut(request.numel, world_size);
    return (request.numel + (peers - 1) * cut.size(0)) * element;
  }
  case CollectiveKind::kBroadcast:
    return request.root == 0 ? peers * request.numel * element : 0;
  case CollectiveKind::kExchangeText:
  case CollectiveKind::kBarrier:
    return 0;
  }
  return 0;
}

} // namespace

DryCommunicator::DryCommunicator(int world_size, int ranks_on_host) {
  STOWAGE_CHECK(1 <= ranks_on_host && ranks_on_host <= world_size &&
                world_size <= kMostDryRanks)
      << ranks_on_host << " of " << world_size;
  placement_.world_size = world_size;
  placement_.local_size = ranks_on_host;
  placement_.host = "rehearsal";
}

Event DryCommunicator::Submit(const CollectiveRequest &request) {
  absl::Status status = CheckRequest(request, 0, world_size());
  if (status.ok())
    bytes_sent_ += BytesSent(request, world_size());
  return Event::Done(std::move(status));
}

Event DryCommunicator::Send(const void *data, int64_t bytes, int to) {
  absl::Status status = CheckMessage("send", data, bytes, to, 0, world_size());
  if (status.ok())
    bytes_sent_ += bytes;
  return Event::Done(std::move(status));
}

Event DryCommunicator::Receive(void *data, int64_t bytes, int from) {
  return Event::Done(
      CheckMessage("receive", data, bytes, from, 0, world_size()));
}

absl::StatusOr<std::vector<std::string>>
DryCommunicator::ExchangeText(absl::string_view mine) {
  bytes_sent_ += (world_size() - 1) * static_cast<int64_t>(mine.size());
  return std::vector<std::string>(world_size(), std::string(mine));
}

} // namespace stowage
