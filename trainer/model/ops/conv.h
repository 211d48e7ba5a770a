// Convolution of images whose weight gradient goes straight into the gradient buffer.
//
// Images are worked on, and given back, in channels-last memory; the shape stays [n, channels, rows, columns].
#ifndef STOWAGE_TRAINER_MODEL_OPS_CONV_H_
#define STOWAGE_TRAINER_MODEL_OPS_CONV_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "trainer/model/parameter.h"

namespace stowage::ops {

// x [n, in, rows, columns] (copied if it is not channels-last), weight [out, in, kernel rows, kernel columns], both
// fp32 or both bf16 (sums in fp32) -> [n, out, ...] of the same dtype. stride 1 or 2; `padding`: zeros on each side.
// Keeps x and weight for backward. An x that wants no gradient (the data) costs none.
at::Tensor Conv2d(const at::Tensor& x, const Parameter& weight, int64_t stride, int64_t padding);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_CONV_H_
