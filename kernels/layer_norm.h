// Layer normalisation of rows (Ba, Kiros, Hinton, arXiv:1607.06450) and its gradients.
//
//   y = xhat * weight + bias,  xhat = (x - mean) * rstd,  rstd = 1 / sqrt(mean((x - mean)^2) + eps)
//   g = dy * weight,  dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum(dy * xhat),  dbias = sum(dy)
//
// x, y, dy, dx are fp32 or bf16 (`dtype`); weights, their gradients, statistics and arithmetic are fp32; x, y and dx
// are rounded once. Rows are read from memory once, and stay in the first-level cache for what else they are needed.
// Same bits for any number of threads, on CPUs of one vector width.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_LAYER_NORM_H_
#define STOWAGE_KERNELS_LAYER_NORM_H_

#include <cstdint>

#include "base/dtype.h"
#include "kernels/norm_gradient.h"

namespace stowage::kernels {

// x, y [rows, width]; weight, bias [width] (bias may be null); mean, rstd [rows]: kept for the gradient.
void LayerNorm(DType dtype, const void* x, const float* weight, const float* bias, int64_t rows, int64_t width,
               float eps, void* y, float* mean, float* rstd);

// dy, x, dx [rows, width]. `residual` [rows, width], or null: another gradient of x, added to dx before it is rounded
// (that of a residual connection around the norm). dx may be dy or residual. `scratch`
// [LayerNormScratchNumel(rows, width)] fp32: what it holds does not matter. rows 0: the sums are 0.
void LayerNormBackward(DType dtype, const void* dy, const void* x, const float* weight, const float* mean,
                       const float* rstd, const void* residual, int64_t rows, int64_t width, void* dx,
                       NormGradient weight_gradient, NormGradient bias_gradient, float* scratch);

inline int64_t LayerNormScratchNumel(int64_t rows, int64_t width) { return NormBlocks(rows) * 2 * width; }

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_LAYER_NORM_H_
