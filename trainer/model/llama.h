// Llama (Touvron et al., arXiv:2302.13971 and 2307.09288) as segments and groups.
//
// Pre-norm layers with RMSNorm, rotary positions (Su et al., arXiv:2104.09864; pairs are an element and the one half a
// head further, as in Hugging Face's checkpoints), grouped-query attention (Ainslie et al., arXiv:2305.13245) and
// SwiGLU (Shazeer, arXiv:2002.05202). No biases; the head is free or tied to the embedding.
//
//   groups    embedding {token.weight [V, C]},
//             layer.N {attn.norm.weight [C], attn.qkv.weight [(H + 2 K) * C / H, C] (rows: queries of all heads, keys,
//             values), attn.out.weight [C, C], ffn.norm.weight [C], ffn.gate_up.weight [2 F, C] (rows: gate, up),
//             ffn.down.weight [C, F]},
//             head {norm.weight [C], weight [V, C] unless tied}
//   segments  embedding, layer.0.attn, layer.0.ffn, ..., head
#ifndef STOWAGE_TRAINER_MODEL_LLAMA_H_
#define STOWAGE_TRAINER_MODEL_LLAMA_H_

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved (ffn, kv_heads, tie and vocabulary are set). Weights: normal 0.02; the projections that write to
// the residual stream: 0.02 / sqrt(2 * layers); norms 1.
absl::StatusOr<Model> MakeLlama(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_LLAMA_H_
