// The ranks that share memory, as one of them sees them: their windows, and waiting for them.
//
// Arriving is counting up a word in one's own window; waiting is reading the peers' words, for a few microseconds in a
// loop, then asleep in the kernel (futex). Whoever waits looks after the peers ten times a second: one that has died
// ends the wait, one that is stopped is named on stderr after a while and waited for.
//
// Arrive, WaitForAll, Synchronize: by one thread. All else: any thread.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_SHARED_GROUP_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_SHARED_GROUP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sharding/peer_watch.h"
#include "sharding/shared_memory/control_block.h"
#include "sharding/shared_memory/window.h"

namespace stowage {

class SharedGroup {
 public:
  // `windows`: by rank of this group. `peers`: their processes, whose `rank` is what messages name.
  // `stopped_after`: how long a wait lasts before a stopped peer is named.
  SharedGroup(int rank, WindowLayout layout, std::vector<Window> windows, PeerWatch peers,
              std::chrono::milliseconds stopped_after);

  int rank() const { return rank_; }
  int world_size() const { return layout_.ranks; }
  const WindowLayout& layout() const { return layout_; }
  const PeerWatch& peers() const { return peers_; }
  ControlBlock& control(int rank) const { return layout_.control(windows_[rank].data()); }
  Channel& channel(int from, int to) const { return layout_.channel(windows_[from].data(), to); }
  char* slot(int rank, int64_t round) const { return layout_.slot(windows_[rank].data(), round); }

  // What this rank wrote before is visible to whoever has seen its arrival.
  void Arrive();
  // Until all ranks have arrived as often as this one. An error: see Health.
  // `during` says what for, in messages.
  absl::Status WaitForAll(absl::string_view during);
  absl::Status Synchronize(absl::string_view during) {
    Arrive();
    return WaitForAll(during);
  }

  // Rings `rank`'s doorbell.
  void Ring(int rank);
  // Until this rank's doorbell is no longer `seen`, or a tenth of a second has passed.
  void AwaitRing(uint32_t seen);
  uint32_t rings() const { return control(rank_).doorbell.value.load(); }

  // OK, or what a rank ended the group with, or Unavailable: a rank has died.
  absl::Status Health();
  // What a rank ended the group with; OK while none has.
  absl::Status WordsOfEnd() const;
  // Ends the group with this error: the others get its code and its message. The first call counts.
  void End(const absl::Status& cause);

 private:
  absl::Status WaitFor(int peer, uint32_t phase, absl::string_view during);
  // Names a peer that is stopped, once until it goes on.
  void LookForStopped(absl::string_view during);
  void WakeAll();

  const int rank_;
  const WindowLayout layout_;
  const std::vector<Window> windows_;
  const PeerWatch peers_;
  const std::chrono::milliseconds stopped_after_;
  bool named_stopped_ = false;
  std::atomic<bool> ending_{false};
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_SHARED_GROUP_H_
