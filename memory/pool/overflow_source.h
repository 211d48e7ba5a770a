// A pool with something behind it: what the pool refuses (its limit is reached) comes from another source.
//
// So a pool with a limit bounds what is kept for reuse, and not what can be had. Thread-safe.
#ifndef STOWAGE_MEMORY_POOL_OVERFLOW_SOURCE_H_
#define STOWAGE_MEMORY_POOL_OVERFLOW_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "memory/block_source.h"
#include "memory/pool/pool.h"

namespace stowage {

class OverflowSource final : public BlockSource {
 public:
  // Both are borrowed and must outlive it and its blocks.
  OverflowSource(Pool* pool, BlockSource* behind) : pool_(pool), behind_(behind) {}

  void* Allocate(size_t bytes) override {
    void* const block = pool_->Allocate(bytes);
    if (block != nullptr) return block;
    overflowed_.fetch_add(1, std::memory_order_relaxed);
    return behind_->Allocate(bytes);
  }
  void Free(void* block, size_t bytes) override {
    if (pool_->Contains(block)) {
      pool_->Free(block, bytes);
    } else {
      behind_->Free(block, bytes);
    }
  }

  // Requests that the pool refused.
  int64_t overflowed() const { return overflowed_.load(std::memory_order_relaxed); }

 private:
  Pool* const pool_;
  BlockSource* const behind_;
  std::atomic<int64_t> overflowed_{0};
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_OVERFLOW_SOURCE_H_
