// Splitting a range over the one OpenMP team that LibTorch's own arithmetic uses, so that there is never a second
// pool of threads on the same cores. Inside a parallel region it runs serially, as at::parallel_for does.
#ifndef STOWAGE_KERNELS_PARALLEL_H_
#define STOWAGE_KERNELS_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace stowage::kernels {

// Calls body(begin, end) on disjoint ranges that cover [0, n), each at least `grain` long except the last, and
// each starting at a multiple of `multiple`.
void ParallelFor(int64_t n, int64_t grain, int64_t multiple, absl::FunctionRef<void(int64_t, int64_t)> body);

// The most parts that ParallelFor cuts a range into from here: 1 inside a parallel region.
int64_t ParallelThreads();

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_PARALLEL_H_
