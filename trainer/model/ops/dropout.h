// Dropout without a stored mask: the mask is a function of (key, element), made again in backward.
#ifndef STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_
#define STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace stowage::ops {

// x fp32 or bf16, any shape -> x's shape and dtype; kept elements are scaled by 1 / (1 - p). p 0: x itself.
// The mask does not depend on the dtype.
at::Tensor Dropout(const at::Tensor& x, double p, uint64_t key);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_DROPOUT_H_
