// What the row norms (layer_norm.h, rms_norm.h) share in their interfaces.
#ifndef STOWAGE_KERNELS_NORM_GRADIENT_H_
#define STOWAGE_KERNELS_NORM_GRADIENT_H_

#include <algorithm>
#include <cstdint>

namespace stowage::kernels {

// Where a weight's gradient goes: [width] fp32, written or added to. Null: it is not wanted.
struct NormGradient {
  float* to = nullptr;
  bool accumulate = false;
};

// The gradients of weights are summed over blocks of rows, then the blocks' sums in order. The blocks depend on the
// number of rows alone, so any number of threads gives the same bits. 32 rows at least, so that adding up the blocks
// costs a tenth of a read of the rows; 256 blocks at most, so that the scratch stays small.
inline int64_t NormBlockRows(int64_t rows) { return std::max<int64_t>(32, (rows + 255) / 256); }
inline int64_t NormBlocks(int64_t rows) { return (rows + NormBlockRows(rows) - 1) / NormBlockRows(rows); }

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_NORM_GRADIENT_H_
