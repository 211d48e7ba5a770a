// The head of a language model with its loss: logits are made by chunks of rows and never held for a whole batch.
//
// Where gradients are wanted they are computed in the same sweep, while a chunk's logits are still there: the
// gradient of the logits is softmax - onehot, from which the chunk's part of the input's gradient and of the weight's
// gradient follow at once. What is kept for backward is one tensor of the input's size. This rests on the loss being
// summed and last: its own gradient is known in forward, 1 or what the losses of the run are scaled by.
// Source of the idea: Hsu et al., "Liger Kernel", arXiv:2410.10989, section 3.2 (fused linear cross-entropy).
#ifndef STOWAGE_TRAINER_MODEL_OPS_LANGUAGE_HEAD_H_
#define STOWAGE_TRAINER_MODEL_OPS_LANGUAGE_HEAD_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

// Targets with this value have no loss.
inline constexpr int64_t kIgnoredTarget = -100;

// Most bytes of logits held at once (at least one row). 64 MiB: large enough that the weight's gradient, read and
// written once per chunk, does not dominate (124M-parameter GPT-2: 333 rows), small beside the model.
inline constexpr int64_t kLogitChunkBytes = int64_t{64} << 20;

// x [..., width], weight [vocabulary, width], targets int64 [...] -> fp64 scalar: the sum of cross-entropies.
// x and weight both fp32 or both bf16. In bf16 logits are summed and kept in fp32, softmax and loss are computed in
// fp32, the gradient of the logits is rounded to bf16 for the two products that take it, and x's gradient is bf16. With
// autograd on, the weight's gradient is added to its slot in this call, not in backward; all gradients are those of the
// loss times `loss_gradient`, whatever backward is given.
at::Tensor LanguageLoss(const at::Tensor& x, const Parameter& weight, const at::Tensor& targets,
                        double loss_gradient = 1.0);

// x [..., width], weight [vocabulary, width], both fp32 or both bf16 -> fp32 [..., vocabulary]. Without autograd.
at::Tensor Logits(const at::Tensor& x, const at::Tensor& weight);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_LANGUAGE_HEAD_H_
