// The arithmetic of a reduction: the ranks' parts taken together, in their order.
//
// Single-threaded and without LibTorch, so that a communication thread may call it beside the compute team.
// Thread-safe: no state. Bits do not depend on position or CPU.
#ifndef STOWAGE_KERNELS_ACCUMULATE_H_
#define STOWAGE_KERNELS_ACCUMULATE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "base/dtype.h"
#include "kernels/reduction.h"

namespace stowage::kernels {

// out[i] = parts[0][i] with parts[1][i] with ... in that order, i in [0, numel). At least one part. out may be one of
// the parts; overlapping otherwise is not allowed. Any alignment that the element has.
// dtype: kFloat32, kFloat64, kInt32, kInt64 (integers wrap), kBFloat16 and kFloat16 (computed in fp32, rounded once, to
// nearest even). kMean of integers, and other dtypes, are a bug of the caller's. fp16 is slower than the others.
void ReduceInOrder(Reduction reduction, absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype);

inline void SumInOrder(absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype) {
  ReduceInOrder(Reduction::kSum, parts, out, numel, dtype);
}

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ACCUMULATE_H_
