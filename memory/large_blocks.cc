#include "memory/large_blocks.h"

#include <sys/mman.h>

#include "base/check.h"

namespace stowage {

LargeBlocks::~LargeBlocks() { Trim(); }

void* LargeBlocks::Take(size_t bytes) {
  STOWAGE_CHECK(bytes >= kSmallestBytes) << bytes;
  {
    std::lock_guard<std::mutex> lock(mu_);
    const auto found = kept_.find(bytes);
    if (found != kept_.end() && !found->second.empty()) {
      void* block = found->second.back();
      found->second.pop_back();
      kept_bytes_ -= static_cast<int64_t>(bytes);
      return block;
    }
  }
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) {
    Trim();  // what is kept may be what is missing
    block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return nullptr;
  }
  // A wish: where the system grants no huge pages the block is as good as any.
  madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

void LargeBlocks::Give(void* block, size_t bytes, bool keep) {
  if (!keep) {
    STOWAGE_CHECK(munmap(block, bytes) == 0) << block << " of " << bytes << " bytes";
    return;
  }
  std::lock_guard<std::mutex> lock(mu_);
  kept_[bytes].push_back(block);
  kept_bytes_ += static_cast<int64_t>(bytes);
}

void LargeBlocks::Trim() {
  std::lock_guard<std::mutex> lock(mu_);
  for (auto& [bytes, blocks] : kept_) {
    for (void* block : blocks) munmap(block, bytes);
  }
  kept_.clear();
  kept_bytes_ = 0;
}

int64_t LargeBlocks::kept_bytes() const {
  std::lock_guard<std::mutex> lock(mu_);
  return kept_bytes_;
}

}  // namespace stowage
