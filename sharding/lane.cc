#include "sharding/lane.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace stowage {

Lane::Lane(const std::string& name) {
  // The new thread inherits the mask: no signal can reach it in between.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Lane::~Lane() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Event Lane::Submit(std::function<absl::Status()> work) {
  const Event event = Event::Pending();
  {
    std::lock_guard<std::mutex> lock(mu_);
    jobs_.push_back({std::move(work), event});
  }
  changed_.notify_one();
  return event;
}

void Lane::Run() {
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mu_);
      changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    absl::Status status = job.work();
    job.work = nullptr;  // what it holds is let go before the waiter goes on
    job.event.Finish(std::move(status));
  }
}

}  // namespace stowage
