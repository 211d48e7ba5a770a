#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/launch.h"
#include "tools/stowage/command.h"
#include "trainer/config/load.h"
#include "trainer/run/speak.h"
#include "trainer/run/start.h"
#include "trainer/run/train_main.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Trains the experiment in CONFIG and writes a run folder: config.yaml (every key, nothing left to auto),\n"
    "metrics.jsonl, TensorBoard events, checkpoints/, report.json and a log for each rank. It ends with a sample of\n"
    "what a text model learned.\n"
    "\n"
    "  stowage train configs/quickstart.yaml\n"
    "  stowage train configs/baby_gpt.yaml --set train.steps=50 --set optimizer.lr=3e-4 --run-dir runs/try\n"
    "  stowage train configs/baby_gpt.yaml --run-dir runs/try --resume\n"
    "  mpirun -n 2 --mca odls_base_sigkill_timeout 10 stowage train configs/baby_gpt.yaml\n"
    "\n"
    "The run is rehearsed first (stowage plan --help); one that does not fit memory.host is refused with exit code 3.\n"
    "Keys of a config: stowage config --keys. On SIGTERM, SIGINT or SIGUSR1 all ranks save at the same step and exit\n"
    "with code 75; --resume goes on from the newest whole checkpoint of the run folder, to the same bits.\n";

constexpr int64_t kSampleTokens = 300;

struct Arguments {
  std::string config;
  std::vector<std::string> sets;
  TrainOptions options;
};

// Read, and refused where it would be refused later, before ranks spend time on meeting.
absl::StatusOr<Config> ReadConfig(const Arguments& arguments, const Registered& registered) {
  STOWAGE_ASSIGN_OR_RETURN(Config config, LoadConfig(arguments.config, arguments.sets, registered));
  const absl::Status resolves = ResolveWithoutData(config, registered).status();
  if (!resolves.ok()) return Annotate(resolves, arguments.config);
  return config;
}

// Ids that are bytes can be shown as text; ids of somebody's token files cannot. A built-in source is text even where
// model.vocabulary leaves room for more.
bool LearnsText(const std::string& run_dir, const OwnKinds& own) {
  const absl::StatusOr<Config> resolved = LoadConfig(absl::StrCat(run_dir, "/config.yaml"), {}, RegisteredOf(own));
  if (!resolved.ok() || !resolved->model.vocabulary.has_value()) return false;  // images, vectors
  if (own.data.count(resolved->data.source) > 0) return false;
  return !resolved->data.source.empty() || resolved->model.vocabulary == 256;
}

void PrintSample(const std::string& run_dir, const OwnKinds& own) {
  SampleOptions options;
  options.tokens = kSampleTokens;
  const absl::StatusOr<std::string> sample = Sample(run_dir, options, own);
  if (!sample.ok()) {
    Complain(absl::StrCat("no sample: ", sample.status().message()));
    return;
  }
  std::printf("\nA sample of what it learned (stowage sample %s):\n%s\n", run_dir.c_str(), sample->c_str());
}

absl::Status RunTrain(const TrainOptions& options, const OwnKinds& own, const Config& config, Communicator& communicator,
                      const ThreadPlan& threads, ExitCode* code) {
  STOWAGE_ASSIGN_OR_RETURN(const TrainOutcome outcome,
                           TrainAndTell(config, communicator, threads, options, own, code));
  if (outcome.stopped || communicator.rank() != 0) return absl::OkStatus();
  if (LearnsText(outcome.run_dir, own)) PrintSample(outcome.run_dir, own);
  std::printf("\nRun folder: %s\n", outcome.run_dir.c_str());
  return absl::OkStatus();
}

int Run(const Arguments& arguments, const OwnKinds& own) {
  const absl::StatusOr<Config> config = ReadConfig(arguments, RegisteredOf(own));
  StartRequest request;
  request.ready = config.status();
  TrainOptions options = arguments.options;
  if (config.ok()) {
    request.backend = config->sharding.backend;
    request.threads = static_cast<int>(config->run.threads.value_or(0));
    PlanFirst(*config, own, arguments.config, &request, &options);
  }
  return StartAndRun(request, [&](Communicator& communicator, const ThreadPlan& threads, ExitCode* code) {
    return RunTrain(options, own, *config, communicator, threads, code);
  });
}

}  // namespace

Command TrainCommand(const OwnKinds& own) {
  return {"train", "Train an experiment", kLesson, [own](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("CONFIG", arguments->config, "The experiment, a YAML file")->required();
            app.add_option("--set", arguments->sets, "key.path=value, wins over the file; may be given again")
                ->allow_extra_args(false)
                ->type_name("KEY=VALUE");
            app.add_option("--run-dir", arguments->options.run_dir, "The run folder; runs/NAME unless given");
            app.add_flag("--resume", arguments->options.resume, "Go on with the run in the run folder");
            app.add_flag("--no-plan", arguments->options.no_plan,
                         "Do not rehearse the run before it starts, and do not refuse one that will not fit");
            return [arguments, own] { return Run(*arguments, own); };
          }};
}

}  // namespace stowage
