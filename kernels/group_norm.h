// Group normalisation of channels-last images (Wu and He, arXiv:1803.08494), with what usually follows it in one pass:
// the sum with a residual connection and ReLU.
//
//   y = relu(xhat * weight + bias + residual),  xhat = (x - mean) * rstd,  rstd = 1 / sqrt(variance + eps)
//   g = dy where ReLU passed,  dresidual = g,  dweight = sum(g * xhat),  dbias = sum(g)
//   dx = rstd * (g * weight - mean(g * weight) - xhat * mean(g * weight * xhat))
//
// with mean and variance over the pixels and channels of a sample's group. Images are [samples, pixels, channels]
// contiguous, fp32 or bf16 (`dtype`); weights, their gradients, statistics and arithmetic are fp32; results are rounded
// once. An image is read from memory once and stays in the second-level cache for what else it is needed, if it fits.
// Channels that are no multiple of 16 are slower.
//
// Same bits for any number of threads, on CPUs of one vector width; a sample's do not depend on the other samples.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h), by samples.
// Takes scratch (scratch.h, which may throw before anything is written): some numbers per channel.
#ifndef STOWAGE_KERNELS_GROUP_NORM_H_
#define STOWAGE_KERNELS_GROUP_NORM_H_

#include <cstdint>

#include "base/dtype.h"
#include "kernels/norm_gradient.h"

namespace stowage::kernels {

struct GroupNormShape {
  int64_t samples = 0;
  int64_t pixels = 0;    // >= 1
  int64_t channels = 0;  // >= 1
  int64_t groups = 1;    // divides channels: a group is channels / groups neighbouring ones
};

// Words of the mask that keeps for backward where ReLU passed: one bit a channel, 16 channels a word, the words of a
// pixel together.
constexpr int64_t GroupNormMaskNumel(const GroupNormShape& s) {
  return s.samples * s.pixels * ((s.channels + 15) / 16);
}

// What follows the norm.
struct GroupNormRelu {
  bool apply = false;
  uint16_t* mask = nullptr;  // [GroupNormMaskNumel], or null: it is not wanted
};

// x, y and `residual` (null: none is added) [samples, pixels, channels]; weight, bias [channels]; mean, rstd
// [samples, groups]: kept for the gradient. y may be x or residual.
void GroupNorm(DType dtype, const GroupNormShape& shape, const void* x, const float* weight, const float* bias,
               float eps, const void* residual, const GroupNormRelu& relu, void* y, float* mean, float* rstd);

// dy, x, dx and dresidual [samples, pixels, channels]. mask: forward's, null if there was no ReLU. dresidual null: it
// is not wanted (without ReLU it is dy). One of dx and dresidual may be dy; dx may be x. samples 0: the sums are 0.
void GroupNormBackward(DType dtype, const GroupNormShape& shape, const void* dy, const void* x, const float* weight,
                       const float* mean, const float* rstd, const uint16_t* mask, void* dx, void* dresidual,
                       NormGradient weight_gradient, NormGradient bias_gradient);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_GROUP_NORM_H_
