// Training from a program of one's own, without YAML: a model, data, a Config filled in by C++.
//
//   int main() {
//     stowage::Config config;
//     config.run.name = "fashion";
//     config.train.steps = 200;
//     return stowage::TrainMain(MakeNet, OpenMyData, config);
//   }
//
// The same program alone and under mpirun or srun: ranks are found as sharding/launch.h says. In config.yaml and in
// checkpoints model.kind and data.source are "own".
#ifndef STOWAGE_TRAINER_RUN_TRAIN_MAIN_H_
#define STOWAGE_TRAINER_RUN_TRAIN_MAIN_H_

#include "absl/status/statusor.h"
#include "base/exit_code.h"
#include "sharding/communicator.h"
#include "sharding/launch.h"
#include "trainer/config/config.h"
#include "trainer/run/own_kinds.h"
#include "trainer/run/start.h"
#include "trainer/run/train_run.h"

namespace stowage {

// For main: meets the other ranks, trains, says what there is to say (rank 0; errors on stderr), and returns main's
// exit code (docs/exit_codes.md). Ranks end together: return from main at once. Collective. Once per process.
int TrainMain(const ModelKind& model, const DataSource& data, const Config& config, const TrainOptions& options = {});

// The same for a program that goes on afterwards: the outcome, or on every rank the same error, and nothing on stderr.
// Once per process under a launcher (MPI starts only once). To train or evaluate several times, launch once
// (sharding/launch.h) and call Train with the communicator (trainer/run/train_run.h).
absl::StatusOr<TrainOutcome> Train(const ModelKind& model, const DataSource& data, const Config& config,
                                   const TrainOptions& options = {});

// Before StartAndRun: on rank 0 rehearses the run that the launcher started (plan_run.h), says whether it fits, and hands
// the prediction on in `options`. One that does not fit is refused by `request`, with kExitDoesNotFit. Where no plan can
// be made (an operator that the rehearsal does not know, a process with threads) that is said, and training may begin.
// Does nothing if `request` is not ready or `options` want no plan. `name`: of the config, for people.
void PlanFirst(const Config& config, const OwnKinds& own, const std::string& name, StartRequest* request,
               TrainOptions* options);

// Train with a communicator, and rank 0 telling the person: the cores, a warning where a launcher leaves too little
// time to save, how to go on after a stop, for which `code` is set. What `stowage train` does. Collective.
absl::StatusOr<TrainOutcome> TrainAndTell(const Config& config, Communicator& communicator, const ThreadPlan& threads,
                                          const TrainOptions& options, const OwnKinds& own, ExitCode* code);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_MAIN_H_
