// Rotary position embedding (Su et al., arXiv:2104.09864) of packed queries and keys, half-split as in Hugging Face's
// Llama. x is fp32 or bf16, rotated in fp32.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_
#define STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace stowage::ops {

// Cosines and sines of the positions 0 to context - 1; made once per model, copies share the bytes. Constant, so any
// number of threads may read it.
struct RotaryTable {
  at::Tensor cos, sin;  // [context, head_dim / 2] fp32
};

// Angles position * theta^(-2 i / head_dim), made by the same fp32 operators as transformers' LlamaRotaryEmbedding: a
// model that was trained with those finds the same angles. head_dim even.
RotaryTable MakeRotaryTable(int64_t context, int64_t head_dim, double theta);

// qkv [n, t, (heads + 2 * kv_heads) * head_dim], t <= context: queries and keys are turned by their positions 0 to
// t - 1, values stay. In place where autograd allows: what is given is not to be used afterwards. A tensor that
// somebody else holds, or a leaf, must not be given. Keeps nothing for backward but the table.
at::Tensor Rotary(at::Tensor qkv, int64_t heads, int64_t kv_heads, const RotaryTable& table);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_
