// Blocks straight from the system's malloc: no pool. For what overflows a pool, and to compare.
#ifndef STOWAGE_MEMORY_SYSTEM_SOURCE_H_
#define STOWAGE_MEMORY_SYSTEM_SOURCE_H_

#include <cstddef>
#include <cstdlib>

#include "memory/block_source.h"

namespace stowage {

// Has no state: any two of them free each other's blocks. Thread-safe.
class SystemSource final : public BlockSource {
 public:
  void* Allocate(size_t bytes) override {
    void* block = nullptr;
    return posix_memalign(&block, 64, bytes) == 0 ? block : nullptr;
  }
  void Free(void* block, size_t) override { std::free(block); }
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_SYSTEM_SOURCE_H_
