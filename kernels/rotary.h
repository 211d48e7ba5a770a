// Rotary position embedding (Su et al., arXiv:2104.09864), half-split as in Hugging Face's Llama: with x1 the first and
// x2 the second half of a head at position p,  y1 = x1 cos - x2 sin,  y2 = x2 cos + x1 sin,  cos and sin of p's angles.
//
// Elements fp32 or bf16 (`dtype`), arithmetic fp32, one rounding at the end. An element gets the same bits with any
// number of threads, on all CPUs with fused multiply-add. Highway, dispatched at run time. Thread-safe: no state.
// Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_ROTARY_H_
#define STOWAGE_KERNELS_ROTARY_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

struct RotaryShape {
  int64_t samples = 0;
  int64_t positions = 0;  // of a sample: 0, 1, ...
  int64_t row_numel = 0;  // elements of one position: the rotated heads, then what is left as it is
  int64_t heads = 0;      // rotated: the first heads * head_dim elements of a row
  int64_t head_dim = 0;   // even
};

// from, to [samples, positions, row_numel]; cos, sin fp32 [>= positions, head_dim / 2]. `to` may be `from`; otherwise
// the rest of each row is copied. `inverse`: by the negative angles, which is also the gradient's way back.
void Rotary(DType dtype, const RotaryShape& shape, const float* cos, const float* sin, bool inverse, const void* from,
            void* to);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ROTARY_H_
