// Logits of a batch, without targets, gradients or ranks.
#ifndef STOWAGE_TRAINER_RUN_PREDICT_H_
#define STOWAGE_TRAINER_RUN_PREDICT_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "trainer/data/batch.h"
#include "trainer/run/model_state.h"

namespace stowage {

// batch: what the model's first segment reads ("tokens" int64 [n, t] for a language model).
// Returns the last segment's output, in fp32 whatever it computes in: logits [n, t, vocabulary].
absl::StatusOr<at::Tensor> Predict(ModelState& state, const Batch& batch);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_PREDICT_H_
