// Rotary position embedding (Su et al., arXiv:2104.09864) of packed queries and keys, half-split as in Hugging Face's
// Llama. x is fp32 or bf16, rotated in fp32.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_
#define STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>

namespace stowage::ops {

// Cosines and sines of the angles position * theta^(-2 i / head_dim), made by the same fp32 operators as transformers'
// LlamaRotaryEmbedding: a model that was trained with those finds the same angles.
//
// Made once, when first asked for: a model that is only looked at has no bytes. One serves all layers of a model.
// Thread-safe.
class RotaryTable {
 public:
  // Positions 0 to context - 1. head_dim even.
  RotaryTable(int64_t context, int64_t head_dim, double theta);

  int64_t context() const { return context_; }
  int64_t head_dim() const { return head_dim_; }
  // [context, head_dim / 2] fp32.
  const at::Tensor& cos() const;
  const at::Tensor& sin() const;

 private:
  void Make() const;

  const int64_t context_, head_dim_;
  const double theta_;
  mutable std::once_flag once_;
  mutable at::Tensor cos_, sin_;
};

// qkv [n, t, (heads + 2 * kv_heads) * head_dim], t <= context: queries and keys are turned by their positions 0 to
// t - 1, values stay. In place, if qkv is contiguous: what is given holds the result afterwards. Not to be given: a
// leaf that wants a gradient, nor a tensor that an operator before keeps for its backward (which then throws). Keeps
// nothing for backward but the table.
at::Tensor Rotary(at::Tensor qkv, int64_t heads, int64_t kv_heads, const RotaryTable& table);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ROTARY_H_
