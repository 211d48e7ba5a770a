#include "sharding/solo_communicator.h"

#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/collective_request.h"

namespace stowage {
namespace {

Event CopyUnlessInPlace(const CollectiveRequest& request, absl::Status health) {
  if (!health.ok()) return Event::Done(std::move(health));
  absl::Status status = CheckRequest(request, 0, 1);
  if (!status.ok()) return Event::Done(std::move(status));
  if (request.numel > 0 && request.out != request.in) {
    std::memcpy(request.out, request.in, request.numel * DTypeBytes(request.dtype));
  }
  return Event();
}

}  // namespace

SoloCommunicator::SoloCommunicator() {
  char host[256] = "localhost";
  if (gethostname(host, sizeof(host) - 1) == 0) host[sizeof(host) - 1] = '\0';
  placement_.host = host;
}

absl::Status SoloCommunicator::Health() const {
  std::lock_guard<std::mutex> lock(mu_);
  return aborted_;
}

Event SoloCommunicator::ReduceScatter(const void* whole, void* shard, int64_t shard_numel, DType dtype) {
  return CopyUnlessInPlace({CollectiveKind::kReduceScatter, whole, shard, shard_numel, dtype}, Health());
}

Event SoloCommunicator::AllGather(const void* shard, void* whole, int64_t shard_numel, DType dtype) {
  return CopyUnlessInPlace({CollectiveKind::kAllGather, shard, whole, shard_numel, dtype}, Health());
}

Event SoloCommunicator::AllReduce(void* data, int64_t numel, DType dtype) {
  return CopyUnlessInPlace({CollectiveKind::kAllReduce, data, data, numel, dtype}, Health());
}

Event SoloCommunicator::Broadcast(void* data, int64_t bytes, int root) {
  return CopyUnlessInPlace({CollectiveKind::kBroadcast, data, data, bytes, DType::kUInt8, root}, Health());
}

absl::StatusOr<std::vector<std::string>> SoloCommunicator::ExchangeText(absl::string_view mine) {
  STOWAGE_RETURN_IF_ERROR(Health());
  return std::vector<std::string>{std::string(mine)};
}

absl::Status SoloCommunicator::Barrier() { return Health(); }

void SoloCommunicator::Abort(const absl::Status& cause) {
  std::lock_guard<std::mutex> lock(mu_);
  if (aborted_.ok()) aborted_ = absl::AbortedError(absl::StrCat("rank 0: ", cause.message()));
}

}  // namespace stowage
