#include "memory/budget/memory_limit.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"
#include "base/check.h"

namespace stowage {
namespace {

constexpr size_t kHoldersNamed = 10;

}  // namespace

MemoryLimit::Hold& MemoryLimit::Hold::operator=(Hold&& other) noexcept {
  if (this == &other) return *this;
  Release();
  limit_ = std::exchange(other.limit_, nullptr);
  holder_ = std::move(other.holder_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void MemoryLimit::Hold::Release() {
  for (MemoryLimit* limit = limit_; limit != nullptr; limit = limit->outer_) limit->GiveBack(bytes_, holder_);
  limit_ = nullptr;
  bytes_ = 0;
}

MemoryLimit::MemoryLimit(std::string name, int64_t limit_bytes, MemoryLimit* outer)
    : name_(std::move(name)), limit_bytes_(limit_bytes), outer_(outer) {
  STOWAGE_CHECK(limit_bytes >= 0) << name_ << ": " << limit_bytes;
}

MemoryLimit::~MemoryLimit() { STOWAGE_CHECK(held_bytes() == 0) << name_ << " still holds " << held_bytes(); }

int64_t MemoryLimit::held_bytes() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return held_;
}

void MemoryLimit::AddCleanup(std::function<void(int64_t bytes)> cleanup) {
  const std::lock_guard<std::mutex> lock(mu_);
  cleanups_.push_back(std::move(cleanup));
}

bool MemoryLimit::TryTake(int64_t bytes, const std::string& holder) {
  const std::lock_guard<std::mutex> lock(mu_);
  if (bytes > limit_bytes_ - held_) return false;
  held_ += bytes;
  holders_[holder] += bytes;
  return true;
}

void MemoryLimit::GiveBack(int64_t bytes, const std::string& holder) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto found = holders_.find(holder);
  STOWAGE_CHECK(found != holders_.end() && found->second >= bytes)
      << name_ << ": " << holder << " gives back " << bytes;
  held_ -= bytes;
  found->second -= bytes;
  if (found->second == 0) holders_.erase(found);
}

absl::Status MemoryLimit::TooSmall(int64_t bytes, const std::string& holder) const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::vector<std::pair<int64_t, std::string>> largest;
  for (const auto& [name, held] : holders_) largest.emplace_back(held, name);
  std::sort(largest.rbegin(), largest.rend());
  std::string text =
      absl::StrCat(name_, ": ", HumanByteSize(bytes), " for ", holder, " do not fit: ", HumanByteSize(held_), " of ",
                   HumanByteSize(limit_bytes_), " are held");
  if (largest.size() > kHoldersNamed) largest.resize(kHoldersNamed);
  for (size_t i = 0; i < largest.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? ", most by " : ", ", largest[i].second, " (", HumanByteSize(largest[i].first), ")");
  }
  return absl::ResourceExhaustedError(text);
}

absl::Status MemoryLimit::TakeHere(int64_t bytes, const std::string& holder) {
  if (TryTake(bytes, holder)) return absl::OkStatus();
  std::vector<std::function<void(int64_t)>> cleanups;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (bytes <= limit_bytes_) cleanups = cleanups_;  // else no cleanup can help
  }
  for (const auto& cleanup : cleanups) {
    const int64_t missing = bytes - (limit_bytes_ - held_bytes());
    if (missing > 0) cleanup(missing);
    if (TryTake(bytes, holder)) return absl::OkStatus();
  }
  return TooSmall(bytes, holder);
}

absl::StatusOr<MemoryLimit::Hold> MemoryLimit::Take(int64_t bytes, const std::string& holder) {
  if (bytes < 0) return absl::InvalidArgumentError(absl::StrCat(name_, ": ", bytes, " bytes for ", holder));
  for (MemoryLimit* limit = this; limit != nullptr; limit = limit->outer_) {
    const absl::Status taken = limit->TakeHere(bytes, holder);
    if (taken.ok()) continue;
    for (MemoryLimit* back = this; back != limit; back = back->outer_) back->GiveBack(bytes, holder);
    return taken;
  }
  return Hold(this, holder, bytes);
}

}  // namespace stowage
