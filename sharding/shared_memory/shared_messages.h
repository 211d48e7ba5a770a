// Messages between pairs of ranks that share memory.
//
// A message goes in pieces through the one channel from its sender to its receiver; one thread moves all of a rank's
// messages on, so that none waits for another pair's. It sleeps on the rank's doorbell while there is nothing to do.
//
// Thread-safe. An error (a death, an ended group, two sizes for one message) ends all that is pending and all later
// ones.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MESSAGES_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MESSAGES_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "sharding/event.h"
#include "sharding/lane.h"
#include "sharding/shared_memory/shared_group.h"

namespace stowage {

class SharedMessages {
 public:
  explicit SharedMessages(SharedGroup& group);
  // What is pending ends with Cancelled.
  ~SharedMessages();

  Event Send(const void* data, int64_t bytes, int to);
  Event Receive(void* data, int64_t bytes, int from);
  int64_t bytes_sent() const { return bytes_sent_; }

 private:
  struct Message {
    char* data = nullptr;
    int64_t bytes = 0;
    int64_t moved = 0;
    Event event;
  };
  using Queue = std::deque<Message>;

  Event Add(std::vector<Queue>& queues, int peer, void* data, int64_t bytes);
  // On the lane, until all queues are empty.
  void Attend();
  // Moves pieces as far as the peers let it; whether any moved.
  bool MoveOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PutPiece(int to, Message& message);
  bool TakePiece(int from, Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  SharedGroup& group_;
  std::atomic<int64_t> bytes_sent_{0};
  std::mutex mu_;                                     // std: see Event
  std::vector<Queue> sends_ ABSL_GUARDED_BY(mu_);     // by peer
  std::vector<Queue> receives_ ABSL_GUARDED_BY(mu_);  // by peer
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  bool attending_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<Lane> lane_ ABSL_GUARDED_BY(mu_);  // from the first message on; last: its work uses all the others
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_SHARED_MESSAGES_H_
