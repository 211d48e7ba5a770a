// GELU (Hendrycks and Gimpel, arXiv:1606.08415) and its gradient, each in one pass.
//
//   exact:  y = x Phi(x), Phi the normal distribution's function
//   tanh:   y = x / 2 (1 + tanh(u)) = x sigmoid(2 u),  u = sqrt(2 / pi) (x + 0.044715 x^3)
//
// Elements fp32 or bf16 (`dtype`), arithmetic fp32, one rounding at the end. Before that rounding the error is below
// 5e-7 (1 + |x|) for values and for gradients per unit of dy; of the exact kind's values in bf16, 2^-11 of the value
// more. NaN gives NaN.
// An element gets the same bits wherever it lies, with any number of threads, on all CPUs with fused multiply-add.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_GELU_H_
#define STOWAGE_KERNELS_GELU_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

enum class GeluKind { kExact, kTanh };

// All pointers: [numel], any alignment that the elements have. y may be x.
void Gelu(GeluKind kind, DType dtype, const void* x, int64_t numel, void* y);

// dx = dy * dGelu/dx at x. dx may be dy or x.
void GeluBackward(GeluKind kind, DType dtype, const void* x, const void* dy, int64_t numel, void* dx);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_GELU_H_
