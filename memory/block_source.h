// Where blocks of host memory come from: a pool, an arena that was planned, or one that wraps another to record or to
// fail on purpose.
#ifndef STOWAGE_MEMORY_BLOCK_SOURCE_H_
#define STOWAGE_MEMORY_BLOCK_SOURCE_H_

#include <cstddef>

namespace stowage {

// Thread-safe. Throws nothing.
class BlockSource {
 public:
  virtual ~BlockSource() = default;

  // A block of `bytes` >= 1, aligned to 64, contents anything. Null: there is none, and nothing has changed.
  virtual void* Allocate(size_t bytes) = 0;

  // A block of Allocate(bytes) of this source, on any thread.
  virtual void Free(void* block, size_t bytes) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BLOCK_SOURCE_H_
