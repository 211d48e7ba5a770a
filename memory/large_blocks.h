// Blocks for group buffers: many megabytes each, the same sizes again every step.
//
// Each is a mapping of its own, so it neither splits the heap nor is split by what is allocated between two steps, and
// asks for huge pages, so that a whole buffer costs some dozen page faults instead of thousands. A block given back
// with `keep` waits for the next request of exactly its size: gradients that are released every step come back
// without the kernel zeroing their pages anew. The pool will take the place of this class.
//
// Thread-safe.
#ifndef STOWAGE_MEMORY_LARGE_BLOCKS_H_
#define STOWAGE_MEMORY_LARGE_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"

namespace stowage {

class LargeBlocks {
 public:
  // Below this a mapping wastes more in its last page, and costs more to make, than it saves.
  static constexpr size_t kSmallestBytes = size_t{1} << 20;

  LargeBlocks() = default;
  LargeBlocks(const LargeBlocks&) = delete;
  LargeBlocks& operator=(const LargeBlocks&) = delete;
  ~LargeBlocks();

  // `bytes` >= kSmallestBytes, page-aligned; null if the system has no memory. Contents: anything.
  void* Take(size_t bytes);
  // A block of Take(bytes).
  void Give(void* block, size_t bytes, bool keep);
  // Returns what is kept to the system.
  void Trim();

  // Bytes kept for later requests.
  int64_t kept_bytes() const;

 private:
  mutable std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  std::map<size_t, std::vector<void*>> kept_ ABSL_GUARDED_BY(mu_);
  int64_t kept_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_LARGE_BLOCKS_H_
