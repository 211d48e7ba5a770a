// Writes down the lifetimes of the blocks that one thread asks for, and passes everything on to another source.
//
// What other threads ask for passes through unrecorded; frees count on whatever thread they happen. Blocks from before
// Start() are none of it, and those that are live at Stop() are marked as outliving.
//
// Thread-safe; a lock and a table look-up at every call, so it is for one step and not for all.
#ifndef STOWAGE_MEMORY_PLANNED_LIFETIME_RECORDER_H_
#define STOWAGE_MEMORY_PLANNED_LIFETIME_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "memory/block_source.h"
#include "memory/planned/lifetimes.h"

namespace stowage {

class LifetimeRecorder final : public BlockSource {
 public:
  // Borrows `base`, which must outlive it. Must itself outlive its blocks: see outstanding().
  explicit LifetimeRecorder(BlockSource& base) : base_(base) {}

  // The calling thread's allocations are recorded from here on.
  void Start();
  // What was recorded since Start().
  Lifetimes Stop();

  void* Allocate(size_t bytes) override;
  void Free(void* block, size_t bytes) override;

  // Blocks that came through here and are not freed.
  int64_t outstanding() const;

 private:
  static constexpr int64_t kUnrecorded = -1;

  BlockSource& base_;
  mutable std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  bool recording_ ABSL_GUARDED_BY(mu_) = false;
  std::thread::id thread_ ABSL_GUARDED_BY(mu_);
  Lifetimes lifetimes_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<void*, int64_t> live_ ABSL_GUARDED_BY(mu_);  // number in lifetimes_, or kUnrecorded
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PLANNED_LIFETIME_RECORDER_H_
