// Whether a run fits, before it is started: the rehearsal against the budget, and what would help.
#ifndef STOWAGE_TRAINER_RUN_PLAN_RUN_H_
#define STOWAGE_TRAINER_RUN_PLAN_RUN_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/own_kinds.h"

namespace stowage {

struct PlanRequest {
  std::string name;   // of the config, for people
  int world_size = 1;
  int ranks_on_host = 1;
  std::string machine_file;  // of calibration; empty: this machine's
  bool launched = false;     // by mpirun or srun, which costs MPI's bytes also with one rank
};

// Rehearses the run, sets it against memory.host, and where it does not fit rehearses what would help. Each rehearsal
// is a forked child: call it before the process has threads (SetUpProcess, MPI). Not collective.
// InvalidArgument: ranks out of range, or the config does not resolve; others as Rehearse. That it does not fit is no
// error: see Prediction::fits and Refusal.
absl::StatusOr<Prediction> PlanRun(const Config& config, const OwnKinds& own, const PlanRequest& request);

// For `train`, on every rank, before ranks meet: on rank 0 plans the run that the launcher started.
struct PlanBeforeTraining {
  absl::Status refusal;                  // Refusal of a run that does not fit
  std::optional<Prediction> prediction;  // rank 0's, if one could be made
  std::string why_none;                  // rank 0: why none could be made; training may begin without
};
PlanBeforeTraining PlanLaunchedRun(const Config& config, const OwnKinds& own, const std::string& name);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_PLAN_RUN_H_
