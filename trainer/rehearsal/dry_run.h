// Tensors without bytes: while a DryRun lives, the calling thread's LibTorch operators compute shapes and nothing else.
//
// Tensors keep their true device (cpu), dtype and strides; their storage comes from LibTorch's CPU allocator, so from
// the ledger and the pool like any other, and nobody writes to it. An operator goes to its Meta kernel, which knows
// what comes out; autograd, custom functions and modules run unmodified above that. Our own kernels do nothing then
// (kernels/dry.h), except to take the scratch that they would take.
//
// The method: a boxed fallback on the dispatch key `Fake`, below autograd, which is included for this thread. LibTorch
// reserves the key (it was made for torchdistx's fake tensors) and registers nothing on it. Pinned to LibTorch 2.11:
// should the key ever change its meaning, a counting allocator for the Meta device can stand in its place.
//
// Operators that take memory inside are run for real, once for each new combination of shapes: see workspaces.h.
//
// What fails, with an error that names it: an operator of others without a Meta kernel; one whose result's shape depends
// on values (nonzero, unique, masked_select); reading a value (item()). They throw c10::Error.
//
// LibTorch runs backward of CPU tensors on the calling thread, so it is dry as well. Other threads are not: a module
// that computes on threads of its own is not rehearsed there. Tensors of a dry run must not be read after it.
#ifndef STOWAGE_TRAINER_REHEARSAL_DRY_RUN_H_
#define STOWAGE_TRAINER_REHEARSAL_DRY_RUN_H_

#include <c10/core/impl/LocalDispatchKeySet.h>

#include "kernels/dry.h"
#include "memory/ledger_marks.h"
#include "trainer/rehearsal/workspaces.h"

namespace stowage {

class DryRun {
 public:
  // Operators that take memory inside are run on arguments of up to so many bytes.
  static constexpr int64_t kMostMeasuredBytes = int64_t{256} << 20;

  // Borrows the marks of the ledger that the process's tensors are counted in. Does not nest.
  explicit DryRun(LedgerMarks& marks, int64_t most_measured_bytes = kMostMeasuredBytes);
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  const Workspaces& workspaces() const { return workspaces_; }

 private:
  Workspaces workspaces_;
  c10::impl::IncludeDispatchKeyGuard fake_;
  kernels::DryScope kernels_;
};

// All is real again for as long as it lives, within a DryRun: to read data, which is there.
class RealTensors {
 public:
  RealTensors();
  RealTensors(const RealTensors&) = delete;
  RealTensors& operator=(const RealTensors&) = delete;

 private:
  c10::impl::ExcludeDispatchKeyGuard fake_;
  kernels::DryScope kernels_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_REHEARSAL_DRY_RUN_H_
