// Dropout without a stored mask: the mask is a function of (key, element), made again in backward.
#ifndef STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_
#define STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace stowage::ops {

// x fp32, any shape -> x's shape; kept elements are scaled by 1 / (1 - p). p 0: x itself.
at::Tensor Dropout(const at::Tensor& x, double p, uint64_t key);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_
