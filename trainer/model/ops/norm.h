// Layer normalisation over the last dimension (Ba, Kiros, Hinton, arXiv:1607.06450), eps 1e-5.
#ifndef STOWAGE_TRAINER_MODEL_OPS_NORM_H_
#define STOWAGE_TRAINER_MODEL_OPS_NORM_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

inline constexpr double kLayerNormEps = 1e-5;

// x [..., width], weight [width], bias [width] or null -> x's shape.
at::Tensor LayerNorm(const at::Tensor& x, const Parameter& weight, const Parameter* bias);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_NORM_H_
