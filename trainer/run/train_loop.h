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
#include "trainer/optimizer/optimizer.h"
#include "trainer/run/host_budget.h"
#include "trainer/run/memory_marks.h"
#include "trainer/run/model_state.h"
#include "trainer/run/planned_steps.h"
#include "trainer/run/reporter.h"
#include "trainer/run/signals.h"

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
  int64_t first_step = 0;  // updates done before
  int64_t total_steps = 0;
  // Saves a checkpoint of `step`. Collective; the same status on every rank.
  std::function<absl::Status(int64_t step)> save;
};

struct TrainLoopResult {
  int64_t steps_done = 0;  // in all, those before a resume included
  double last_loss = std::numeric_limits<double>::quiet_NaN();
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
  int64_t tokens = 0;      // of this process's steps
  double step_seconds = 0.0;
  int stop_signal = 0;     // 0: ran to its end
  std::map<std::string, int64_t> memory_peak_bytes;
  std::optional<PlannedStatistics> planned;  // nullopt: no step followed a plan
};

class TrainLoop {
 public:
  explicit TrainLoop(const TrainLoopInputs& inputs);

  // Collective; every rank returns the same. On return the last step done is saved (or the error says why not).
  absl::StatusOr<TrainLoopResult> Run();

 private:
  absl::StatusOr<StepMetrics> Step(int64_t step, AgreementVerdict* verdict);
  absl::StatusOr<UpdateScalars> Scalars(int64_t step, int micro_batches, const AgreementVerdict& verdict,
                                        StepMetrics* metrics) const;
  // What lies outside the tensors is measured anew, and what is to be said of it is said.
  absl::Status CheckBudget(int64_t step);
  absl::Status Evaluate(int64_t step);
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
  Schedule schedule_;  // of the last step; written anew when the number of micro-batches changes
  TrainLoopResult result_;
  absl::Time last_save_;
  int64_t saved_step_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_LOOP_H_
