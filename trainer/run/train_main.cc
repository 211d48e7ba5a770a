#include "trainer/run/train_main.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/agreement.h"
#include "trainer/config/load.h"
#include "trainer/plan/plan_words.h"
#include "trainer/run/plan_run.h"
#include "trainer/run/process.h"
#include "trainer/run/speak.h"
#include "trainer/run/start.h"

namespace stowage {
namespace {

constexpr char kOwn[] = "own";

// What the program handed over, under a name that a config can say.
struct OwnExperiment {
  OwnKinds own;
  Config config;
};

OwnExperiment MakeExperiment(const ModelKind& model, const DataSource& data, const Config& config) {
  OwnExperiment experiment{OwnKinds(), config};
  experiment.own.models[kOwn] = model;
  experiment.own.data[kOwn] = data;
  experiment.config.model.kind = kOwn;
  experiment.config.data.source = kOwn;
  return experiment;
}

absl::Status Check(const OwnExperiment& experiment) {
  STOWAGE_RETURN_IF_ERROR(CheckOwnKinds(experiment.own));
  return ResolveWithoutData(experiment.config, RegisteredOf(experiment.own)).status();
}

int ThreadsOf(const Config& config) { return static_cast<int>(config.run.threads.value_or(0)); }

}  // namespace

void PlanFirst(const Config& config, const OwnKinds& own, const std::string& name, StartRequest* request,
               TrainOptions* options) {
  if (!request->ready.ok() || options->no_plan) return;
  PlanBeforeTraining plan = PlanLaunchedRun(config, own, name);
  options->why_no_plan = std::move(plan.why_none);
  if (plan.prediction.has_value() && plan.refusal.ok() && !options->quiet) {
    for (const BudgetVerdict& budget : plan.prediction->budgets) {
      std::printf("plan: %s\n", VerdictWords(budget).c_str());
    }
    std::fflush(stdout);
  }
  if (!plan.refusal.ok()) {
    request->ready = plan.refusal;
    request->refusal = kExitDoesNotFit;
  }
  options->prediction = std::move(plan.prediction);
}

absl::StatusOr<TrainOutcome> TrainAndTell(const Config& config, Communicator& communicator, const ThreadPlan& threads,
                                          const TrainOptions& asked, const OwnKinds& own, ExitCode* code) {
  const bool speaks = communicator.rank() == 0 && !asked.quiet;
  if (speaks) {
    const std::string warning = GraceWarning();
    if (!warning.empty()) Complain(warning);
    std::printf("%s\n", threads.description.c_str());
    std::fflush(stdout);
  }
  TrainOptions options = asked;
  options.threads = threads.threads;
  options.thread_description = threads.description;
  STOWAGE_ASSIGN_OR_RETURN(TrainOutcome outcome, Train(config, communicator, options, own));
  if (!outcome.stopped) return outcome;
  *code = kExitStoppedAndSaved;
  if (speaks) {
    const std::string by =
        outcome.stop_signal == SIGCONT ? "mpirun, which ends the job," : absl::StrCat("signal ", outcome.stop_signal);
    Complain(absl::StrCat("stopped by ", by, " and saved after step ", outcome.steps_done, "; go on with --run-dir ",
                          outcome.run_dir, " --resume"));
  }
  return outcome;
}

int TrainMain(const ModelKind& model, const DataSource& data, const Config& config, const TrainOptions& options) {
  const OwnExperiment experiment = MakeExperiment(model, data, config);
  StartRequest request;
  request.ready = Check(experiment);
  request.backend = config.sharding.backend;
  request.threads = ThreadsOf(config);
  TrainOptions planned = options;
  PlanFirst(experiment.config, experiment.own, config.run.name, &request, &planned);
  return StartAndRun(request, [&](Communicator& communicator, const ThreadPlan& threads, ExitCode* code) {
    const absl::StatusOr<TrainOutcome> outcome =
        TrainAndTell(experiment.config, communicator, threads, planned, experiment.own, code);
    if (outcome.ok() && !outcome->stopped && communicator.rank() == 0 && !options.quiet) {
      std::printf("\nRun folder: %s\n", outcome->run_dir.c_str());
    }
    return outcome.status();
  });
}

absl::StatusOr<TrainOutcome> Train(const ModelKind& model, const DataSource& data, const Config& config,
                                   const TrainOptions& asked) {
  const OwnExperiment experiment = MakeExperiment(model, data, config);
  STOWAGE_RETURN_IF_ERROR(Check(experiment));
  STOWAGE_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> communicator, Launch(config.sharding.backend));
  absl::StatusOr<ThreadPlan> threads = PlanThreads(communicator->placement(), ThreadsOf(config));
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(*communicator, threads.status()));
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(*communicator, SetUpProcess(threads->threads)));
  TrainOptions options = asked;
  options.threads = threads->threads;
  options.thread_description = threads->description;
  return Train(experiment.config, *communicator, options, experiment.own);
}

}  // namespace stowage
