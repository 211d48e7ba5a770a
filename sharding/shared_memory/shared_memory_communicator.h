// Ranks of one host, processes or threads, through memory that they share. Linux.
//
// Calls are made by a lane of the communicator's own; messages between pairs by a second one. Buffers may lie anywhere:
// they pass through this rank's window (two slots of slot_bytes, and 128 KiB for every peer); those of the arena
// (shared_arena.h) are read where they lie. Sums have the bits of every other communicator.
//
// Ranks that make different calls all get InvalidArgument with both calls. A process that dies while others wait for it
// ends their calls within a second with Unavailable, "rank N (process P on HOST) has died"; one that is stopped
// (SIGSTOP) is named on stderr after 10 s, and the wait goes on when it does. Abort, and destruction, end what waits
// and all later calls of every rank with Aborted and this rank's words: wait for your events before you destroy a
// communicator.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MEMORY_COMMUNICATOR_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MEMORY_COMMUNICATOR_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/collective_request.h"
#include "sharding/communicator.h"
#include "sharding/lane.h"
#include "sharding/shared_arena.h"
#include "sharding/shared_memory/shared_collectives.h"
#include "sharding/shared_memory/shared_group.h"
#include "sharding/shared_memory/shared_messages.h"
#include "sharding/shared_memory/shared_regions.h"

namespace stowage {

class SharedMemoryCommunicator : public Communicator, public SharedArena {
 public:
  struct Options {
    // A piece that both have written and read before it leaves their caches; many pieces, so that one rank copies while
    // the other sums. A multiple of 64, at least 64 for each rank.
    int64_t slot_bytes = int64_t{1} << 20;
    std::chrono::milliseconds stopped_after = std::chrono::seconds(10);
  };

  // The ranks `members` of `meeting` (ascending, this one among them) become ranks 0, 1, ... of a communicator of their
  // own. Collective over all ranks of `meeting`, of which each is a member of what it asks for: a world that is divided
  // makes all its parts in one call. `meeting` is used during the call only.
  // FailedPrecondition: the members are not of one host, process namespace and user. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<SharedMemoryCommunicator>> Create(Communicator& meeting,
                                                                          const std::vector<int>& members,
                                                                          const Options& options);
  static absl::StatusOr<std::unique_ptr<SharedMemoryCommunicator>> Create(Communicator& meeting,
                                                                          const std::vector<int>& members) {
    return Create(meeting, members, Options());
  }
  // All ranks of `launcher`'s, which this keeps: it is destroyed last, and Abort is its Abort.
  static absl::StatusOr<std::unique_ptr<SharedMemoryCommunicator>> CreateOver(std::unique_ptr<Communicator> launcher);
  ~SharedMemoryCommunicator() override;

  absl::string_view name() const override { return "shared memory"; }
  const Placement& placement() const override { return placement_; }
  Event Send(const void* data, int64_t bytes, int to) override;
  Event Receive(void* data, int64_t bytes, int from) override;
  absl::StatusOr<std::vector<std::string>> ExchangeText(absl::string_view mine) override;
  absl::Status Barrier() override;
  // Over a launcher's communicator: its Abort, which may not return. Else returns; all later calls fail.
  void Abort(const absl::Status& cause) override;
  int64_t bytes_sent() const override { return collectives_.bytes_sent() + messages_.bytes_sent(); }

  SharedArena* shared() override { return this; }
  absl::StatusOr<std::unique_ptr<SharedBuffer>> Allocate(int64_t bytes) override;
  absl::StatusOr<std::unique_ptr<SharedBuffer>> AllocateCommon(int64_t bytes) override;

 protected:
  Event Submit(const CollectiveRequest& request) override;

 private:
  SharedMemoryCommunicator(Placement placement, WindowLayout layout, std::vector<Window> windows, PeerWatch peers,
                           const Options& options);
  absl::StatusOr<std::unique_ptr<SharedBuffer>> AllocateFor(int64_t bytes, WindowOwner owner);

  std::unique_ptr<Communicator> launcher_;  // may be null; first: destroyed last
  const Placement placement_;
  SharedGroup group_;
  SharedRegions regions_;
  SharedCollectives collectives_;
  absl::Status failure_;  // the lane's: the first error, after which nothing is tried
  SharedMessages messages_;
  Lane lane_;  // last: its work uses all the others
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MEMORY_COMMUNICATOR_H_
