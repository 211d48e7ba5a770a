// to[i] += from[i], fp32 and fp64 and int64 and bf16 (bf16: fp32 sum, rounded once); the arithmetic of a reduction.
// Single-threaded, so that a communication thread may call it beside the compute team.
#ifndef STOWAGE_KERNELS_ACCUMULATE_H_
#define STOWAGE_KERNELS_ACCUMULATE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "base/dtype.h"

namespace stowage::kernels {

// out[i] = parts[0][i] + parts[1][i] + ... in that order, i in [0, numel). out may be one of the parts.
// dtype: kFloat32, kFloat64, kInt64, kBFloat16.
void SumInOrder(absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ACCUMULATE_H_
