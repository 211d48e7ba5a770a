#include "memory/planned/lifetime_recorder.h"

#include <utility>

#include "base/check.h"

namespace stowage {

void LifetimeRecorder::Start() {
  const std::lock_guard<std::mutex> lock(mu_);
  STOWAGE_CHECK(!recording_) << "started twice";
  recording_ = true;
  thread_ = std::this_thread::get_id();
  lifetimes_.clear();
}

Lifetimes LifetimeRecorder::Stop() {
  const std::lock_guard<std::mutex> lock(mu_);
  STOWAGE_CHECK(recording_) << "not started";
  recording_ = false;
  for (auto& [block, number] : live_) number = kUnrecorded;
  return std::move(lifetimes_);
}

void* LifetimeRecorder::Allocate(size_t bytes) {
  void* const block = base_.Allocate(bytes);
  if (block == nullptr) return nullptr;
  const std::lock_guard<std::mutex> lock(mu_);
  int64_t number = kUnrecorded;
  if (recording_ && thread_ == std::this_thread::get_id()) {
    number = static_cast<int64_t>(lifetimes_.size());
    lifetimes_.push_back({static_cast<int64_t>(bytes), BlockLifetime::kOutlives});
  }
  live_[block] = number;
  return block;
}

void LifetimeRecorder::Free(void* block, size_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto found = live_.find(block);
    STOWAGE_CHECK(found != live_.end()) << block << " is not of this source";
    if (found->second != kUnrecorded) {
      lifetimes_[static_cast<size_t>(found->second)].death = static_cast<int64_t>(lifetimes_.size());
    }
    live_.erase(found);
  }
  base_.Free(block, bytes);
}

int64_t LifetimeRecorder::outstanding() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return static_cast<int64_t>(live_.size());
}

}  // namespace stowage
