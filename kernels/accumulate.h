// The arithmetic of a reduction: sums of the ranks' parts, in their order.
//
// Single-threaded and without LibTorch, so that a communication thread may call it beside the compute team.
// Thread-safe: no state. Bits do not depend on position or CPU.
#ifndef STOWAGE_KERNELS_ACCUMULATE_H_
#define STOWAGE_KERNELS_ACCUMULATE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "base/dtype.h"

namespace stowage::kernels {

// out[i] = parts[0][i] + parts[1][i] + ... in that order, i in [0, numel). At least one part. out may be one of the
// parts; overlapping otherwise is not allowed. Any alignment that the element has.
// dtype: kFloat32, kFloat64, kInt64 (wraps), kBFloat16 (summed in fp32, rounded once, to nearest even). Others are a
// bug of the caller's.
void SumInOrder(absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ACCUMULATE_H_
