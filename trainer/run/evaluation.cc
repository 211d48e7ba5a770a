#include "trainer/run/evaluation.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace stowage {

absl::StatusOr<EvaluationResult> EvaluateDataset(Executor& executor, const ModelShape& shape, const Dataset& dataset,
                                                 int64_t sequences, int64_t micro_batch, int rank, int world_size,
                                                 InstructionObserver* observer) {
  const absl::Time start = absl::Now();
  const int64_t size = dataset.size();
  const int64_t count = sequences > 0 && sequences < size ? sequences : size;
  const MicroBatchCut cut{count, micro_batch, world_size};

  PlayInputs inputs;
  inputs.mode = PassMode::kEvaluate;
  inputs.observer = observer;
  inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
    const int64_t index = cut.GlobalIndex(rank, m);
    std::vector<SampleId> samples;
    for (int64_t i = 0; i < cut.Size(index); ++i) {
      samples.push_back({0, (cut.First(index) + i) * size / count});
    }
    if (samples.empty()) return Batch();
    return dataset.Read(samples);
  };
  STOWAGE_ASSIGN_OR_RETURN(const AgreementVerdict verdict,
                           executor.Play(WriteEvaluation(shape, cut.per_rank()), inputs));
  EvaluationResult result;
  result.tokens = verdict.tokens;
  result.loss = verdict.loss_sum / static_cast<double>(verdict.tokens);
  if (verdict.judged > 0) {
    result.accuracy = static_cast<double>(verdict.correct) / static_cast<double>(verdict.judged);
  }
  result.text_bytes_per_token = dataset.text_bytes_per_target();
  result.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return result;
}

}  // namespace stowage
