// The steps of a run: play, report, evaluate, save, stop when asked.
#ifndef STOWAGE_TRAINER_RUN_TRAIN_LOOP_H_
#define STOWAGE_TRAINER_RUN_TRAIN_LOOP_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sharding/communicator.h"
#include "trainer/config/config.h"
#include "trainer/data/open_data.h"
#include "trainer/data/sampler.h"
#include "trainer/executor/executor.h"
#include "trainer/optimizer/loss_scaler.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/host_budget.h"
#include "trainer/run/memory_marks.h"
#include "trainer/run/model_state.h"
#include "trainer/run/planned_steps.h"
#include "trainer/run/reporter.h"
#include "trainer/run/save_reserve.h"
#include "trainer/run/shortage_policy.h"
#include "trainer/run/signals.h"
#include "trainer/run/skip_policy.h"
#include "trainer/run/train_state.h"

namespace stowage {

// Everything borrowed; all must outlive the loop.
struct TrainLoopInputs {
  MemoryMarks& memory;
  const Config& config;  // resolved
  Communicator& communicator;
  ModelState& state;
  const Optimizer& optimizer;
  const Data& data;
  const Sampler& sampler;
  Reporter& reporter;
  const SignalWatch& signals;
  HostBudget& budget;
  SaveReserve& reserve;    // let go before a save that has nothing else
  int64_t first_step = 0;  // steps done before
  int64_t total_steps = 0;
  bool micro_batch_fixed = false;  // the config says train.micro_batch
  TrainState train_state;          // at first_step
  // Saves a checkpoint of `step`. Collective; the same status on every rank.
  std::function<absl::Status(int64_t step, const TrainState& state)> save;
};

struct TrainLoopResult {
  int64_t steps_done = 0;  // in all, those before a resume included
  double last_loss = std::numeric_limits<double>::quiet_NaN();
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
  int64_t tokens = 0;  // of this process's steps
  double step_seconds = 0.0;
  int stop_signal = 0;  // 0: ran to its end
  std::map<std::string, int64_t> memory_peak_bytes;
  std::optional<PlannedStatistics> planned;  // nullopt: no step followed a plan
  int64_t voided_steps = 0;                  // of this process
  TrainState state;                          // at the end
};

class TrainLoop {
 public:
  explicit TrainLoop(const TrainLoopInputs& inputs);

  // Collective; every rank returns the same. On return the last step done is saved (or the error says why not).
  // ResourceExhausted: a step did not fit in any way that shortage_policy.h knows. FailedPrecondition: so many steps in
  // a row had gradients that are not finite.
  absl::StatusOr<TrainLoopResult> Run();

 private:
  // The step, however often it has to be begun.
  absl::StatusOr<StepMetrics> Step(int64_t step, AgreementVerdict* verdict);
  // Plays the step once. ResourceExhausted: it was voided, and all is as it was. metrics->skipped: nothing was updated.
  absl::Status Play(int64_t step, StepMetrics* metrics, AgreementVerdict* verdict);
  UpdateScalars Scalars(int64_t step, int64_t samples, StepMetrics* metrics) const;
  // OK: play it again.
  absl::Status AfterVoid(int64_t step, const absl::Status& why);
  // OK: go on with the next one.
  absl::Status AfterSkip(const StepMetrics& metrics, const AgreementVerdict& verdict);
  // Saves the `done` steps; the run's last words. `what` did not fit.
  absl::Status EndShortOfMemory(int64_t done, const std::string& what, const absl::Status& why);
  void GiveBackIdle();
  TrainState State() const;
  // What lies outside the tensors is measured anew, and what is to be said of it is said.
  absl::Status CheckBudget(int64_t step);
  absl::Status Evaluate(int64_t step);
  // With smaller micro-batches if it does not fit, which are its own affair: the steps' stay as they are.
  absl::StatusOr<EvaluationResult> EvaluateInWhatThereIs();
  // Every rank's steps make the same collective calls, whatever micro-batches it has.
  absl::Status CheckSameSteps();
  // A run that is stopped saves at once; an evaluation that was due at that step is made by the run that goes on.
  absl::Status EvaluateWhatAStopLeftOut();
  // A save in the middle of a run: a failure is said, and training goes on.
  void SaveInPassing(int64_t step);

  const TrainLoopInputs in_;
  const ModelShape shape_;
  Executor executor_;
  PlannedSteps planned_;
  ShortagePolicy shortage_;
  SkipPolicy skips_;
  LossScaler scaler_;
  Schedule schedule_;  // of the last step; written anew when the number of micro-batches changes
  TrainLoopResult result_;
  absl::Time last_save_;
  int64_t saved_step_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_LOOP_H_
