// A source of blocks that refuses some, on purpose: how tests ask what a program does when memory ends at this very
// allocation.
//
// Thread-safe. Borrows the source, which must outlive it; must itself live as long as any block that went through it.
#ifndef STOWAGE_MEMORY_FAILING_SOURCE_H_
#define STOWAGE_MEMORY_FAILING_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "memory/block_source.h"

namespace stowage {

class FailingSource final : public BlockSource {
 public:
  struct Plan {
    // Which allocation is refused, the first after Arm being 1. 0: none, they are only counted.
    int64_t nth = 0;
    bool all_from_nth = false;    // those after it as well
    size_t least_bytes = 1;       // smaller ones (the allocator's header included) are served and not counted
    bool on_this_thread = false;  // those of threads other than the one that calls Arm are served and not counted
  };

  explicit FailingSource(BlockSource* source) : source_(source) {}

  // Counting begins anew.
  void Arm(const Plan& plan);
  // Refuses nothing from here on, and counts no further. Returns what was counted since Arm, refusals included.
  int64_t Disarm();
  // Since Arm.
  int64_t counted() const;
  int64_t refused() const;

  void* Allocate(size_t bytes) override;
  void Free(void* block, size_t bytes) override;

 private:
  // Whether this allocation is to be refused. Counts it.
  bool Refuses(size_t bytes);

  BlockSource* const source_;
  mutable std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  bool armed_ ABSL_GUARDED_BY(mu_) = false;
  Plan plan_ ABSL_GUARDED_BY(mu_);
  std::thread::id thread_ ABSL_GUARDED_BY(mu_);
  int64_t counted_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t refused_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_FAILING_SOURCE_H_
