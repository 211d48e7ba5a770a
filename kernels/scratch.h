// Memory that a kernel needs for one call, from wherever the process wants it taken.
//
// Kernels know of no ledger and no pool; a program that has them sets functions here, so that a kernel's scratch is
// counted and reused like any other bytes.
#ifndef STOWAGE_KERNELS_SCRATCH_H_
#define STOWAGE_KERNELS_SCRATCH_H_

#include <cstddef>

namespace stowage::kernels {

// Blocks are aligned to 64 bytes. `allocate` may throw: the call of the kernel then did nothing and lets it through.
// Both must be thread-safe.
struct ScratchFunctions {
  void* (*allocate)(size_t bytes);
  void (*free)(void* block);
};

// Process-wide, early: while no kernel runs. Before, scratch comes from operator new.
void SetScratchFunctions(const ScratchFunctions& functions);

// A block for as long as it lives. Contents: anything.
class Scratch {
 public:
  explicit Scratch(size_t bytes);  // 0: null
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* data() const { return data_; }

 private:
  void (*free_)(void*);
  void* data_;
};

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_SCRATCH_H_
