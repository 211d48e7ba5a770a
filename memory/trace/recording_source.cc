#include "memory/trace/recording_source.h"

#include <utility>

namespace stowage {

RecordingSource::RecordingSource(const std::string& name, BlockSource* source) : source_(source) { trace_.name = name; }

int RecordingSource::ThisThread() {
  return threads_.emplace(std::this_thread::get_id(), static_cast<int>(threads_.size())).first->second;
}

void RecordingSource::MarkStep() {
  const std::lock_guard<std::mutex> lock(mu_);
  if (recording_) trace_.steps.push_back(static_cast<int64_t>(trace_.events.size()));
}

AllocationTrace RecordingSource::Stop() {
  const std::lock_guard<std::mutex> lock(mu_);
  recording_ = false;
  live_.clear();
  return std::exchange(trace_, AllocationTrace());
}

void* RecordingSource::Allocate(size_t bytes) {
  // Before the lock: whoever gets an address that another thread has just given back is written down behind it, since
  // that one writes before it gives back.
  void* const block = source_->Allocate(bytes);
  if (block == nullptr) return nullptr;
  const std::lock_guard<std::mutex> lock(mu_);
  if (recording_) {
    trace_.events.push_back({allocated_, ThisThread(), static_cast<int64_t>(bytes)});
    live_[block] = allocated_++;
  }
  return block;
}

void RecordingSource::Free(void* block, size_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto live = live_.find(block);
    if (live != live_.end()) {
      trace_.events.push_back({live->second, ThisThread(), 0});
      live_.erase(live);
    }
  }
  source_->Free(block, bytes);
}

}  // namespace stowage
