// Something that another lane will have done: a collective, a copy, a write.
//
// A default-made Event is already done and OK. Copies share one state. Thread-safe.
#ifndef STOWAGE_SHARDING_EVENT_H_
#define STOWAGE_SHARDING_EVENT_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace stowage {

class Event {
 public:
  Event() = default;
  // Not done until Finish is called on any copy.
  static Event Pending();
  static Event Done(absl::Status status);

  // Blocks until it is done; the status it ended with. May be called many times.
  absl::Status Wait() const;
  bool IsDone() const;
  // By the lane that does the work, once.
  void Finish(absl::Status status) const;

 private:
  struct State {
    absl::Mutex mu;
    bool done ABSL_GUARDED_BY(mu) = false;
    absl::Status status ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<State> state_;  // shared: the lane and the waiter outlive each other in either order
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_EVENT_H_
