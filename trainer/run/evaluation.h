// The loss over a finite set, each sequence counted once over all ranks.
#ifndef STOWAGE_TRAINER_RUN_EVALUATION_H_
#define STOWAGE_TRAINER_RUN_EVALUATION_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "trainer/data/dataset.h"
#include "trainer/executor/executor.h"

namespace stowage {

struct EvaluationResult {
  double loss = 0.0;  // mean over loss terms
  int64_t tokens = 0;
  std::optional<double> accuracy;  // share of samples classed right, of a model of classes
  double seconds = 0.0;
  double text_bytes_per_token = 0.0;  // of the whole dataset; 0: see Dataset::text_bytes_per_target
};

// Evaluates `sequences` of the set, evenly spread (all if 0 or more than there are), in micro-batches of `micro_batch`
// dealt to the ranks. Collective; the same result on every rank. `observer` may be null.
absl::StatusOr<EvaluationResult> EvaluateDataset(Executor& executor, const ModelShape& shape, const Dataset& dataset,
                                                 int64_t sequences, int64_t micro_batch, int rank, int world_size,
                                                 InstructionObserver* observer = nullptr);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_EVALUATION_H_
