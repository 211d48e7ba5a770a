#include "memory/failing_source.h"

namespace stowage {

void FailingSource::Arm(const Plan& plan) {
  const std::lock_guard<std::mutex> lock(mu_);
  armed_ = true;
  plan_ = plan;
  thread_ = std::this_thread::get_id();
  counted_ = refused_ = 0;
}

int64_t FailingSource::Disarm() {
  const std::lock_guard<std::mutex> lock(mu_);
  armed_ = false;
  return counted_;
}

int64_t FailingSource::counted() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return counted_;
}

int64_t FailingSource::refused() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return refused_;
}

bool FailingSource::Refuses(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mu_);
  if (!armed_ || bytes < plan_.least_bytes) return false;
  if (plan_.on_this_thread && std::this_thread::get_id() != thread_) return false;
  ++counted_;
  if (plan_.nth == 0 || counted_ < plan_.nth || (counted_ > plan_.nth && !plan_.all_from_nth)) return false;
  ++refused_;
  return true;
}

void* FailingSource::Allocate(size_t bytes) { return Refuses(bytes) ? nullptr : source_->Allocate(bytes); }

void FailingSource::Free(void* block, size_t bytes) { source_->Free(block, bytes); }

}  // namespace stowage
