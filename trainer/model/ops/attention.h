// Softmax attention that keeps no tensor of t * t elements: for backward its inputs, its output and one number per
// query and head are kept.
//
// Two implementations, for CPUs:
//   chunked   ours (kernels/attention.h): tiles of queries and keys with a running softmax; grouped queries, masks
//             together with causality and packed rows as they are; same bits for any number of threads
//   fused     LibTorch's scaled_dot_product_attention
//
// Misuse (a shape, dtype or device that does not fit) throws c10::Error and says what does, as ATen's operators do.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_
#define STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "kernels/attention.h"

namespace stowage::ops {

enum class AttentionKind { kAuto, kFused, kChunked };

// "auto", "fused", "chunked"; another word is a bug of the caller.
AttentionKind AttentionKindFrom(absl::string_view word);

// The longest sequence for which kAuto takes our own kernel where it is not known to be the faster: LibTorch's fused
// form is at its best on long ones.
inline constexpr int64_t kLongestChunkedTokens = 1024;

// What `asked` comes to. kAuto is, on CPUs, kChunked at every length: it was the faster at all that were measured, 256
// to 4096 tokens, by a factor of two and more in fp32 and bf16, and holds less beside its result
// (docs/benchmarks/attention.md). Elsewhere kFused above kLongestChunkedTokens. `tokens`: the longer of queries and
// keys.
AttentionKind SelectAttention(AttentionKind asked, c10::DeviceType device, int64_t tokens);

struct AttentionOptions {
  bool causal = false;          // query i sees keys 0 to i
  std::optional<double> scale;  // of the scores; none: 1 / sqrt(head_dim)
  AttentionKind kind = AttentionKind::kAuto;
  int64_t chunk = kernels::kAttentionChunk;  // chunked: the most queries, and the most keys, of a tile
};

// Self-attention of packed rows: qkv [n, t, (heads + 2 * kv_heads) * head_dim], each row its queries by head, then its
// keys, then its values -> [n, t, heads * head_dim] contiguous. kv_heads divides heads; query head i reads kv head
// i / (heads / kv_heads). fp32 or bf16; softmax and sums in fp32. Chunked reads the rows in place and writes the
// gradient straight into rows of the same form.
at::Tensor SelfAttention(const at::Tensor& qkv, int64_t heads, int64_t kv_heads, const AttentionOptions& options);

// q [n, heads, t_q, head_dim], k and v [n, kv_heads, t_k, head_dim], of any strides (copied only if the last dimension
// is not contiguous) -> [n, heads, t_q, head_dim], with rows of all heads together in memory, as [n, t_q, heads,
// head_dim]. `mask` may be undefined; it broadcasts to [n, heads, t_q, t_k] without being copied: bool (true: seen) or
// floating (added to the scores; -inf hides). It gets no gradient, and is refused if it wants one. A query that sees no
// key has output and gradients 0 (chunked).
at::Tensor Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                     const AttentionOptions& options);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ATTENTION_H_
