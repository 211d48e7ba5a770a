// Root-mean-square normalisation of rows (Zhang and Sennrich, arXiv:1910.07467) and its gradients.
//
//   y = xhat * weight,  xhat = x * rstd,  rstd = 1 / sqrt(mean(x^2) + eps)
//   g = dy * weight,  dx = rstd * (g - xhat * mean(g * xhat)),  dweight = sum(dy * xhat)
//
// Types, bits and threads as layer_norm.h's.
#ifndef STOWAGE_KERNELS_RMS_NORM_H_
#define STOWAGE_KERNELS_RMS_NORM_H_

#include <cstdint>

#include "base/dtype.h"
#include "kernels/norm_gradient.h"

namespace stowage::kernels {

// x, y [rows, width]; weight [width]; rstd [rows]: kept for the gradient.
void RmsNorm(DType dtype, const void* x, const float* weight, int64_t rows, int64_t width, float eps, void* y,
             float* rstd);

// As LayerNormBackward(). `scratch` [RmsNormScratchNumel(rows, width)] fp32.
void RmsNormBackward(DType dtype, const void* dy, const void* x, const float* weight, const float* rstd,
                     const void* residual, int64_t rows, int64_t width, void* dx, NormGradient weight_gradient,
                     float* scratch);

inline int64_t RmsNormScratchNumel(int64_t rows, int64_t width) { return NormBlocks(rows) * width; }

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_RMS_NORM_H_
