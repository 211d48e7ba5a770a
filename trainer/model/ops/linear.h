// y = x W^T + b, whose weight gradient goes straight into the gradient buffer.
//
// torch's own backward makes the weight gradient as a new tensor and then adds it to the buffer: one whole read and
// two writes of the weights' size more per micro-batch. Here the product writes (beta 0) or adds (beta 1) in place.
#ifndef STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_
#define STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

// x [..., in], weight [out, in], bias [out] or null -> [..., out]. All fp32, or all bf16 (sums in fp32; the slots'
// gradients are fp32 either way).
at::Tensor Linear(const at::Tensor& x, const Parameter& weight, const Parameter* bias);

// The three products by themselves, for operators that are a linear layer and more. x [n, in], weight [out, in],
// dy and y [n, out], dx [n, in]; elements of a row contiguous. What is multiplied is all fp32 or all bf16.

// y = x weight^T + beta y. y is fp32 and beta 0 or 1, or y is bf16 and beta 0.
void Product(const at::Tensor& x, const at::Tensor& weight, float beta, const at::Tensor& y);
// dx = dy weight, in fp32 or dy's dtype.
void InputGradient(const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& dx);
// slot [out, in] (+)= dy^T x.
void AddWeightGradient(GradientSlot& slot, const at::Tensor& dy, const at::Tensor& x);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_LINEAR_H_
