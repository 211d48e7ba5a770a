#include "memory/size_estimator.h"

namespace stowage {

bool SizeEstimator::AddBlock(const void* block, int64_t bytes) {
  const auto [known, inserted] = blocks_.try_emplace(block, bytes);
  if (inserted) {
    bytes_ += bytes;
  } else if (bytes > known->second) {
    bytes_ += bytes - known->second;
    known->second = bytes;
  }
  return inserted;
}

void SizeEstimator::Fail(const absl::Status& status) { status_.Update(status); }

absl::StatusOr<int64_t> SizeEstimator::bytes() const {
  if (!status_.ok()) return status_;
  return bytes_;
}

void Held<std::string>::Add(const std::string& value, SizeEstimator& size) {
  const char* const object = reinterpret_cast<const char*>(&value);
  const bool inside = value.data() >= object && value.data() < object + sizeof(value);  // short ones lie there
  if (!inside) size.AddBlock(value.data(), static_cast<int64_t>(value.capacity()) + 1);
}

void Held<std::vector<bool>>::Add(const std::vector<bool>& value, SizeEstimator& size) {
  if (value.capacity() > 0) size.AddBlockOf(&value, static_cast<int64_t>(value.capacity() / 8));
}

}  // namespace stowage
