// SwiGLU (Shazeer, arXiv:2002.05202) and its gradient, each in one pass: y = silu(gate) * up, silu(g) = g sigmoid(g).
//
// Elements fp32 or bf16 (`dtype`), arithmetic fp32, one rounding at the end; before that the error is below 1e-6 of
// the largest factor. An element gets the same bits with any number of threads, on all CPUs with fused multiply-add.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_SWIGLU_H_
#define STOWAGE_KERNELS_SWIGLU_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

// x [rows, 2 * width]: in each row all gates, then all ups. y [rows, width].
void SwiGlu(DType dtype, const void* x, int64_t rows, int64_t width, void* y);

// dx [rows, 2 * width] of dy [rows, width]. dx may be x.
void SwiGluBackward(DType dtype, const void* x, const void* dy, int64_t rows, int64_t width, void* dx);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_SWIGLU_H_
