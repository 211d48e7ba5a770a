// One thread that does queued work in order, beside the thread that computes.
//
// The thread blocks all signals: a signal to the process must reach the thread that trains, which knows what to do
// with it. Destruction does the work that is still queued, then joins.
// Submit is thread-safe.
#ifndef STOWAGE_SHARDING_LANE_H_
#define STOWAGE_SHARDING_LANE_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "sharding/event.h"

namespace stowage {

class Lane {
 public:
  // `name`: what debuggers and `top -H` show, at most 15 bytes.
  explicit Lane(const std::string& name);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Returns at once; the event ends with what `work` returns.
  Event Submit(std::function<absl::Status()> work);

 private:
  struct Job {
    std::function<absl::Status()> work;
    Event event;
  };

  void Run();

  std::mutex mu_;  // std: see Event
  std::condition_variable changed_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mu_);
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_LANE_H_
