// Something that another lane will have done: a collective, a copy, a write.
//
// A default-made Event is already done and OK. Copies share one state. Thread-safe.
#ifndef STOWAGE_SHARDING_EVENT_H_
#define STOWAGE_SHARDING_EVENT_H_

#include <condition_variable>
#include <memory>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

namespace stowage {

class Event {
 public:
  Event() = default;
  // Not done until Finish is called on any copy. If no copy is left to call it on, nobody waits either.
  static Event Pending();
  static Event Done(absl::Status status);

  // Blocks until it is done; the status it ended with. May be called many times.
  absl::Status Wait() const;
  bool IsDone() const;
  // By the lane that does the work, once, and only on an event that Pending made.
  void Finish(absl::Status status) const;

 private:
  // std::mutex, not absl::Mutex: Debian's libabsl is built without thread sanitizer, which then cannot see its locks
  // and would report every hand-over through an event as a race.
  struct State {
    std::mutex mu;
    std::condition_variable changed;
    bool done ABSL_GUARDED_BY(mu) = false;
    absl::Status status ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<State> state_;  // shared: the lane and the waiter outlive each other in either order
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_EVENT_H_
