// GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019) as segments and groups.
//
// Learned positions, pre-norm layers of attention and feed-forward, GELU (tanh form), a final norm and a head that is
// tied to the token embedding or free; biases on or off. Dropout after the embedding and after each branch (not on
// attention probabilities, which are never held).
//
//   groups    embedding {token.weight [V, C], position.weight [T, C]}, layer.0 ... layer.N-1, head
//   segments  embedding, layer.0.attn, layer.0.ffn, ..., head
//
// Tied: the head segment uses embedding.token.weight, a group with two uses.
#ifndef STOWAGE_TRAINER_MODEL_GPT2_H_
#define STOWAGE_TRAINER_MODEL_GPT2_H_

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved (ffn and vocabulary are set). Weights: normal 0.02; the projections that write to the residual
// stream: 0.02 / sqrt(2 * layers); biases 0, norms 1.
absl::StatusOr<Model> MakeGpt2(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_GPT2_H_
