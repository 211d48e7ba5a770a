// Group normalisation of images with what follows it, by one kernel forward and one backward, whose weight gradients go
// straight into the gradient buffers.
//
// Images are worked on, and given back, in channels-last memory; the shape stays [n, channels, rows, columns]. They are
// fp32 or bf16; weights, statistics and arithmetic are fp32. Kept for backward: x, two fp32 numbers a group, and with
// ReLU one bit an element.
#ifndef STOWAGE_TRAINER_MODEL_OPS_GROUP_NORM_H_
#define STOWAGE_TRAINER_MODEL_OPS_GROUP_NORM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "trainer/model/parameter.h"

namespace stowage::ops {

struct GroupNormOptions {
  int64_t groups = 1;  // divides the channels
  double eps = 1e-5;
  bool relu = false;
};

// relu(norm(x) * weight + bias + residual), without ReLU or residual if they are not asked for.
// x and residual [n, channels, rows, columns] of one dtype (copied if not channels-last), weight and bias [channels].
at::Tensor GroupNorm(const at::Tensor& x, const Parameter& weight, const Parameter& bias,
                     const GroupNormOptions& options, const std::optional<at::Tensor>& residual = std::nullopt);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_GROUP_NORM_H_
