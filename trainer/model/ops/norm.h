// Normalisation of the last dimension, by one kernel forward and one backward, whose weight gradients go straight into
// the gradient buffers.
//
// x is fp32 or bf16; weights, statistics and arithmetic are fp32, and results have x's dtype. What is kept for backward
// is x and one or two fp32 numbers a row.
//
// In a pre-norm layer x also goes around the branch that begins with its norm, and x's gradient is the sum of both
// ways. ...AndResidual() gives that second way as an output of its own, the same tensor as x, so that its gradient is
// added in the norm's own pass, and in fp32. It must be read, not written.
#ifndef STOWAGE_TRAINER_MODEL_OPS_NORM_H_
#define STOWAGE_TRAINER_MODEL_OPS_NORM_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

inline constexpr double kLayerNormEps = 1e-5;

struct NormAndResidual {
  at::Tensor norm;      // of x
  at::Tensor residual;  // x
};

// (x - mean) / sqrt(variance + eps) * weight + bias (Ba, Kiros, Hinton, arXiv:1607.06450).
// x [..., width], weight [width], bias [width] or null -> x's shape and dtype.
at::Tensor LayerNorm(const at::Tensor& x, const Parameter& weight, const Parameter* bias, double eps = kLayerNormEps);
NormAndResidual LayerNormAndResidual(const at::Tensor& x, const Parameter& weight, const Parameter* bias,
                                     double eps = kLayerNormEps);

// x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich, arXiv:1910.07467).
// x [..., width], weight [width] -> x's shape and dtype.
at::Tensor RmsNorm(const at::Tensor& x, const Parameter& weight, double eps);
NormAndResidual RmsNormAndResidual(const at::Tensor& x, const Parameter& weight, double eps);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_NORM_H_
