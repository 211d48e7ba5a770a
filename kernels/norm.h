// Sum of squares and finite check of a flat gradient, in one read.
//
// The sum is fp64 over chunks of kNormChunkNumel elements, each chunk summed in one fixed order (16 interleaved
// accumulators, then a tree), chunks added in order: the result depends neither on threads nor on vector width nor on
// the address (ATen's fp32 norm is 8e-5 off at 4M elements). Where the chunks begin does matter to the last bits:
// who sums shards of a buffer gets the whole buffer's bits only from shards that are whole chunks.
// Thread-safe: no state. Splits over the OpenMP team (see parallel.h). Allocates nothing.
// In a dry run (dry.h): a sum of 0, none of them non-finite.
#ifndef STOWAGE_KERNELS_NORM_H_
#define STOWAGE_KERNELS_NORM_H_

#include <cstdint>

namespace stowage::kernels {

inline constexpr int64_t kNormChunkNumel = 65536;

struct NormResult {
  double sum_of_squares = 0.0;
  int64_t non_finite = 0;  // elements that are NaN or infinite (they are counted and left out of the sum)
};

// values: [numel] fp32, any alignment.
NormResult SumOfSquares(const float* values, int64_t numel);
// values: [numel] bf16, any alignment. The result has the bits that the same values have as fp32.
NormResult SumOfSquaresBf16(const uint16_t* values, int64_t numel);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_NORM_H_
