#include "sharding/shared_memory/shared_memory_communicator.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "sharding/peer_watch.h"
#include "sharding/shared_memory/window.h"

namespace stowage {
namespace {

// Of the processes around `meeting`, those of members, with the rank that they have among the members.
PeerWatch WatchMembers(const PeerWatch& all, const std::vector<int>& members) {
  std::vector<PeerProcess> here;
  for (PeerProcess peer : all.peers()) {
    const auto found = std::find(members.begin(), members.end(), peer.rank);
    if (found == members.end()) continue;
    peer.rank = static_cast<int>(found - members.begin());
    here.push_back(std::move(peer));
  }
  return PeerWatch(std::move(here), /*others_elsewhere=*/false);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedMemoryCommunicator>> SharedMemoryCommunicator::Create(
    Communicator& meeting, const std::vector<int>& members, const Options& options) {
  const int world_size = static_cast<int>(members.size());
  const auto mine = std::find(members.begin(), members.end(), meeting.rank());
  STOWAGE_CHECK(mine != members.end() && std::is_sorted(members.begin(), members.end())) << meeting.rank();
  STOWAGE_CHECK(options.slot_bytes % 64 == 0 && options.slot_bytes >= 64 * world_size) << options.slot_bytes;
  Placement placement = meeting.placement();
  placement.rank = placement.local_rank = static_cast<int>(mine - members.begin());
  placement.world_size = placement.local_size = world_size;
  const WindowLayout layout(world_size, options.slot_bytes);
  STOWAGE_ASSIGN_OR_RETURN(const PeerWatch all, PeerWatch::Meet(meeting));
  STOWAGE_ASSIGN_OR_RETURN(std::vector<Window> windows,
                           MeetWindows(meeting, members, layout.bytes(), WindowOwner::kEachRank, /*reserve=*/true));
  return std::unique_ptr<SharedMemoryCommunicator>(new SharedMemoryCommunicator(
      std::move(placement), layout, std::move(windows), WatchMembers(all, members), options));
}

absl::StatusOr<std::unique_ptr<SharedMemoryCommunicator>> SharedMemoryCommunicator::CreateOver(
    std::unique_ptr<Communicator> launcher) {
  std::vector<int> all(launcher->world_size());
  std::iota(all.begin(), all.end(), 0);
  Options options;
  options.slot_bytes = std::max<int64_t>(options.slot_bytes, 4096 * launcher->world_size());
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<SharedMemoryCommunicator> communicator, Create(*launcher, all, options));
  communicator->launcher_ = std::move(launcher);
  return communicator;
}

SharedMemoryCommunicator::SharedMemoryCommunicator(Placement placement, WindowLayout layout,
                                                   std::vector<Window> windows, PeerWatch peers, const Options& options)
    : placement_(std::move(placement)),
      group_(placement_.rank, layout, std::move(windows), std::move(peers), options.stopped_after),
      collectives_(group_, regions_),
      messages_(group_),
      lane_("shared-memory") {}

SharedMemoryCommunicator::~SharedMemoryCommunicator() {
  // Another rank's words, if there are any, say more than these.
  if (group_.WordsOfEnd().ok()) {
    group_.End(absl::AbortedError(absl::StrCat("rank ", rank(), ": left the group (its communicator was destroyed)")));
  }
}

Event SharedMemoryCommunicator::Send(const void* data, int64_t bytes, int to) {
  absl::Status status = CheckMessage("send", data, bytes, to, rank(), world_size());
  if (!status.ok()) return Event::Done(std::move(status));
  return messages_.Send(data, bytes, to);
}

Event SharedMemoryCommunicator::Receive(void* data, int64_t bytes, int from) {
  absl::Status status = CheckMessage("receive", data, bytes, from, rank(), world_size());
  if (!status.ok()) return Event::Done(std::move(status));
  return messages_.Receive(data, bytes, from);
}

absl::StatusOr<std::vector<std::string>> SharedMemoryCommunicator::ExchangeText(absl::string_view mine) {
  std::vector<std::string> texts;
  const Event event = lane_.Submit([&]() -> absl::Status {
    if (!failure_.ok()) return failure_;
    absl::StatusOr<std::vector<std::string>> all = collectives_.ExchangeText(mine);
    failure_ = all.status();
    if (all.ok()) texts = *std::move(all);
    return failure_;
  });
  STOWAGE_RETURN_IF_ERROR(event.Wait());
  return texts;
}

absl::Status SharedMemoryCommunicator::Barrier() { return Submit({CollectiveKind::kBarrier}).Wait(); }

void SharedMemoryCommunicator::Abort(const absl::Status& cause) {
  // After a death, say, the first words stand: these would only repeat them, with another code.
  if (group_.WordsOfEnd().ok()) group_.End(absl::AbortedError(absl::StrCat("rank ", rank(), ": ", cause.message())));
  if (launcher_ != nullptr) launcher_->Abort(cause);
}

Event SharedMemoryCommunicator::Submit(const CollectiveRequest& request) {
  absl::Status status = CheckRequest(request, rank(), world_size());
  if (!status.ok()) return Event::Done(std::move(status));
  return lane_.Submit([this, request] {
    if (failure_.ok()) failure_ = collectives_.Play(request);
    return failure_;
  });
}

absl::StatusOr<std::unique_ptr<SharedBuffer>> SharedMemoryCommunicator::Allocate(int64_t bytes) {
  return AllocateFor(bytes, WindowOwner::kEachRank);
}

absl::StatusOr<std::unique_ptr<SharedBuffer>> SharedMemoryCommunicator::AllocateCommon(int64_t bytes) {
  return AllocateFor(bytes, WindowOwner::kFirstRank);
}

absl::StatusOr<std::unique_ptr<SharedBuffer>> SharedMemoryCommunicator::AllocateFor(int64_t bytes, WindowOwner owner) {
  if (bytes < 1) return absl::InvalidArgumentError(absl::StrCat("a shared buffer of ", bytes, " bytes"));
  std::vector<int> all(world_size());
  std::iota(all.begin(), all.end(), 0);
  STOWAGE_ASSIGN_OR_RETURN(std::vector<Window> windows, MeetWindows(*this, all, bytes, owner, /*reserve=*/true));
  return regions_.Add(rank(), bytes, std::move(windows));
}

}  // namespace stowage
