#include "sharding/event.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace stowage {
namespace {

// A status of its own bytes. absl::Status shares them between copies by a count whose last step runs inside libabsl,
// out of thread sanitizer's sight; a copy that crosses threads must not share.
absl::Status DeepCopy(const absl::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(status.code(), std::string(status.message()));
}

}  // namespace

Event Event::Pending() {
  Event event;
  event.state_ = std::make_shared<State>();
  return event;
}

Event Event::Done(absl::Status status) {
  if (status.ok()) return Event();
  Event event = Pending();
  event.Finish(std::move(status));
  return event;
}

absl::Status Event::Wait() const {
  if (state_ == nullptr) return absl::OkStatus();
  std::unique_lock<std::mutex> lock(state_->mu);
  state_->changed.wait(lock, [this] { return state_->done; });
  return DeepCopy(state_->status);
}

bool Event::IsDone() const {
  if (state_ == nullptr) return true;
  std::lock_guard<std::mutex> lock(state_->mu);
  return state_->done;
}

void Event::Finish(absl::Status status) const {
  STOWAGE_CHECK(state_ != nullptr) << "Finish on an event that was not made by Pending";
  {
    std::lock_guard<std::mutex> lock(state_->mu);
    STOWAGE_CHECK(!state_->done) << "Finish called twice, now with " << status.ToString();
    state_->done = true;
    state_->status = DeepCopy(status);
  }
  state_->changed.notify_all();
}

}  // namespace stowage
