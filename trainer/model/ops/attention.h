// Causal self-attention of packed queries, keys and values.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_
#define STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace stowage::ops {

// qkv [n, t, 3 * width] -> [n, t, width], `heads` dividing width. Scale 1/sqrt(width / heads).
// LibTorch's fused form: no tensor of t * t elements is kept.
at::Tensor CausalAttention(const at::Tensor& qkv, int64_t heads);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_
