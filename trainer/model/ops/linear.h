// y = x W^T + b, whose weight gradient goes straight into the gradient buffer.
//
// torch's own backward makes the weight gradient as a new tensor and then adds it to the buffer: one whole read and
// two writes of the weights' size more per micro-batch. Here the product writes (beta 0) or adds (beta 1) in place.
#ifndef STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_
#define STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

// x [..., in], weight [out, in], bias [out] or null -> [..., out].
at::Tensor Linear(const at::Tensor& x, const Parameter& weight, const Parameter* bias);

// Adds x^T-products to a weight gradient: target [out, in] (+)= dy^T x, with dy [n, out] and x [n, in].
void AddWeightGradient(GradientSlot& slot, const at::Tensor& dy, const at::Tensor& x);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_
