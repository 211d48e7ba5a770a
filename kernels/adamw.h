// AdamW on flat fp32 buffers: one pass over parameters, gradients and both moments, no temporary.
//
//   g = gradient * gradient_scale
//   m = m + (1 - beta1) * (g - m)                         (beta1 <= 0.5: g - beta1 * (g - m), as torch.lerp)
//   v = beta2 * v + (1 - beta2) * g * g
//   p = p * (1 - lr * weight_decay) - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
//
// An element gets the same bits wherever it lies: in a vector or a tail, in a whole buffer or a shard, with any
// number of threads, on any CPU (ATen's fused form does not promise that: its tail is other code). For that each
// product and sum is rounded by itself, in fp32; the scalars are computed in fp64 and rounded once.
// NaN and infinity go where the formulas take them: whoever wants none checks the gradient first (norm.h).
//
// Source: Loshchilov and Hutter, arXiv:1711.05101; operation order as torch.optim.AdamW.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_ADAMW_H_
#define STOWAGE_KERNELS_ADAMW_H_

#include <cstdint>

namespace stowage::kernels {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.0;
  int64_t step = 1;             // 1 for the first update
  double gradient_scale = 1.0;  // clipping coefficient / token count
};

// All pointers: [numel] fp32, any alignment, not overlapping. `parameter_bf16` ([numel] bf16), if given, gets the new
// parameter rounded to bf16 (as cast.h does): the copy that the next step computes with, at 2 bytes an element instead
// of the 6 of a pass of its own.
void AdamW(float* parameter, const float* gradient, float* first_moment, float* second_moment, int64_t numel,
           const AdamWOptions& options, uint16_t* parameter_bf16 = nullptr);

// SGD with momentum (as torch.optim.SGD, dampening 0, not Nesterov; the decay is added to the gradient):
//   g = gradient * gradient_scale + weight_decay * p;  b = momentum * b + g  (step 1: b = g);  p = p - lr * b
//
// Bits and threads as AdamW's.
struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0.9;
  double weight_decay = 0.0;
  int64_t step = 1;
  double gradient_scale = 1.0;
};
// `momentum`: not read at step 1. It may be null if options.momentum is 0; then no buffer is kept.
void Sgd(float* parameter, const float* gradient, float* momentum, int64_t numel, const SgdOptions& options);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ADAMW_H_
