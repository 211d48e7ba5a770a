// Bytes that a forward pass keeps for backward, part by part, without recompute: as the literature counts them, and as
// this executor with these operators keeps them.
//
// Literature: Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", arXiv:2205.05198,
// section 4: a layer keeps s b h (34 + 5 a s / h) bytes in 16 bits, with dropout's masks in 8 (s tokens, b sequences,
// h width, a heads). Our parts hold what its terms stand for: QKV 8 sbh (the projection's input, queries, keys and
// values), scores 5 a s^2 b, attention output 3 sbh, feed-forward 19 sbh, layer output 4 sbh (what the two norms read).
//
// Our own: attention by tiles keeps a log-sum-exp per row and no scores; dropout's masks are drawn again from their
// key; the head computes its gradient in forward, by chunks, and keeps no logits; a norm keeps its statistics.
// Pure functions; thread-safe.
#ifndef STOWAGE_TRAINER_BREAKDOWN_ACTIVATION_BYTES_H_
#define STOWAGE_TRAINER_BREAKDOWN_ACTIVATION_BYTES_H_

#include <cstdint>

#include "trainer/breakdown/model_sizes.h"

namespace stowage {

// Bytes, of all layers together.
struct ActivationBytes {
  int64_t embeddings = 0;
  int64_t qkv = 0;               // norm's output and statistics; queries, keys, values
  int64_t scores = 0;            // of attention
  int64_t attention_output = 0;  // the output projection's input
  int64_t ffn = 0;               // norm's output and statistics; before and after the activation
  int64_t layer_output = 0;      // of both halves
  int64_t head = 0;

  int64_t total() const { return embeddings + qkv + scores + attention_output + ffn + layer_output + head; }
};

// `sequences`: of a micro-batch, each of sizes.context tokens. `element_bytes`: 2 or 4; what the paper has in 16 bits
// is scaled by it. gpt2's forms are the paper's; llama's widths (kv_heads, gate) are put into the same terms.
ActivationBytes ActivationsInTheLiterature(const ModelSizes& sizes, int64_t sequences, int64_t element_bytes);

ActivationBytes OwnActivations(const ModelSizes& sizes, int64_t sequences, int64_t element_bytes);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_BREAKDOWN_ACTIVATION_BYTES_H_
