#include "sharding/in_process_communicator.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/accumulate.h"

namespace stowage {
namespace {

const char *At(const void *data, int64_t index, DType dtype) {
  return static_cast<const char *>(data) + index * DTypeBytes(dtype);
}

char *At(void *data, int64_t index, DType dtype) {
  return static_cast<char *>(data) + index * DTypeBytes(dtype);
}

void CopyUnlessInPlace(void *to, const void *from, int64_t bytes) {
  if (to != from && bytes > 0)
    std::memcpy(to, from, bytes);
}

} // namespace

InProcessCommunicator::InProcessCommunicator(
    std::shared_ptr<InProcessGroup> group, int rank)
    : group_(std::move(group)), lane_(absl::StrCat("rank-", rank)) {
  placement_.rank = placement_.local_rank = rank;
  placement_.world_size = placement_.local_size = group_->world_size();
  placement_.host = "in-process";
}

InProcessCommunicator::~InProcessCommunicator() {
  group_->Abort(absl::StrCat(
      "rank ", rank(), ": left the group (its communicator was destroyed)"));
}

Event InProcessCommunicator::Send(const void *data, int64_t bytes, int to) {
  absl::Status status =
      CheckMessage("send", data, bytes, to, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  bytes_sent_ += bytes;
  return group_->Send(rank(), to, data, bytes);
}

Event InProcessCommunicator::Receive(void *data, int64_t bytes, int from) {
  absl::Status status =
      CheckMessage("receive", data, bytes, from, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  return group_->Receive(from, rank(), data, bytes);
}

absl::StatusOr<std::vector<std::string>>
InProcessCommunicator::ExchangeText(absl::string_view mine) {
  std::vector<std::string> texts;
  CollectiveRequest request;
  request.kind = CollectiveKind::kExchangeText;
  const Event event =
      lane_.Submit([&] { return Play(request, std::string(mine), &texts); });
  STOWAGE_RETURN_IF_ERROR(event.Wait());
  return texts;
}

absl::Status InProcessCommunicator::Barrier() {
  return Submit({CollectiveKind::kBarrier}).Wait();
}

void InProcessCommunicator::Abort(const absl::Status &cause) {
  group_->Abort(absl::StrCat("rank ", rank(), ": ", cause.message()));
}

Event InProcessCommunicator::Submit(const CollectiveRequest &request) {
  absl::Status status = CheckRequest(request, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  return lane_.Submit(
      [this, request] { return Play(request, std::string(), nullptr); });
}

absl::Status InProcessCommunicator::Play(const CollectiveRequest &request,
                                         std::string text,
                                         std::vector<std::string> *texts) {
  STOWAGE_RETURN_IF_ERROR(group_->Arrive(rank(), {request, std::move(text)}));
  absl::Status status = CheckAllAskTheSame();
  if (status.ok()) {
    Move(request, texts);
  } else {
    group_->Abort(std::string(status.message()));
  }
  group_->Synchronize();
  return status;
}

absl::Status InProcessCommunicator::CheckAllAskTheSame() const {
  const std::string first = group_->posted(0).request.ToString();
  for (int peer = 1; peer < world_size(); ++peer) {
    const std::string other = group_->posted(peer).request.ToString();
    if (other == first)
      continue;
    return absl::InvalidArgumentError(
        absl::StrCat("ranks disagree on what to do: rank 0 calls ", first,
                     ", rank ", peer, " calls ", other));
  }
  return absl::OkStatus();
}

void InProcessCommunicator::Move(const CollectiveRequest &request,
                                 std::vector<std::string> *texts) {
  const int64_t peers = world_size() - 1;
  const int64_t bytes = request.numel * DTypeBytes(request.dtype);
  switch (request.kind) {
  case CollectiveKind::kReduceScatter:
    Reduce(request, rank() * request.numel, request.numel, request.out);
    bytes_sent_ += peers * bytes;
    break;
  case CollectiveKind::kAllGather:
    for (int peer = 0; peer <= peers; ++peer) {
      CopyUnlessInPlace(At(request.out, request.PartBegin(peer), request.dtype),
                        group_->posted(peer).request.in,
                        request.PartNumel(peer) * DTypeBytes(request.dtype));
    }
    bytes_sent_ +=
        peers * request.PartNumel(rank()) * DTypeBytes(request.dtype);
    break;
  case CollectiveKind::kAllToAll:
    for (int peer = 0; peer <= peers; ++peer) {
      CopyUnlessInPlace(At(request.out, peer * request.numel, request.dtype),
                        At(group_->posted(peer).request.in,
                           rank() * request.numel, request.dtype),
                        bytes);
    }
    bytes_sent_ += peers * bytes;
    break;
  case CollectiveKind::kAllReduce: {
    const Cut cut(request.numel, world_size());
    const int64_t begin = cut.begin(rank());
    Reduce(request, begin, cut.size(rank()),
           At(request.out, begin, request.dtype));
    group_->Synchronize();
    for (int peer = 0; peer <= peers; ++peer) {
      CopyUnlessInPlace(
          At(request.out, cut.begin(peer), request.dtype),
          At(group_->posted(peer).request.in, cut.begin(peer), request.dtype),
          cut.size(peer) * DTypeBytes(request.dtype));
    }
    // The peers' parts go to their owners, then this rank's sum goes to all
    // peers.
    bytes_sent_ +=
        bytes + (peers - 1) * cut.size(rank()) * DTypeBytes(request.dtype);
    break;
  }
  case CollectiveKind::kBroadcast:
    CopyUnlessInPlace(request.out, group_->posted(request.root).request.in,
                      bytes);
    if (rank() == request.root)
      bytes_sent_ += peers * bytes;
    break;
  case CollectiveKind::kExchangeText:
    for (int peer = 0; peer <= peers; ++peer)
      texts->push_back(group_->posted(peer).text);
    bytes_sent_ +=
        peers * static_cast<int64_t>(group_->posted(rank()).text.size());
    break;
  case CollectiveKind::kBarrier:
    break;
  }
}

void InProcessCommunicator::Reduce(const CollectiveRequest &request,
                                   int64_t begin, int64_t numel,
                                   void *out) const {
  if (numel == 0)
    return;
  std::vector<const void *> parts;
  for (int peer = 0; peer < world_size(); ++peer) {
    parts.push_back(At(group_->posted(peer).request.in, begin, request.dtype));
  }
  kernels::ReduceInOrder(request.op, parts, out, numel, request.dtype);
}

} // namespace stowage
