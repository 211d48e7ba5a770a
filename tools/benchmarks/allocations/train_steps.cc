// Trains a config for some steps with the pool as it is, or with blocks straight from malloc: what the pool does for a
// whole step. How long steps took stands in the run folder's metrics.jsonl.
//
//   train_steps CONFIG --blocks pool|malloc --run-dir FOLDER [--steps 8] [--set KEY=VALUE]...
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "memory/system_source.h"
#include "sharding/launch.h"
#include "sharding/solo_communicator.h"
#include "trainer/config/load.h"
#include "trainer/run/process.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

absl::Status TrainSteps(const std::string& path, const std::vector<std::string>& sets, const std::string& run_dir,
                        bool from_malloc) {
  STOWAGE_ASSIGN_OR_RETURN(Config config, LoadConfig(path, sets));
  SoloCommunicator communicator;
  STOWAGE_ASSIGN_OR_RETURN(const ThreadPlan threads,
                           PlanThreads(communicator.placement(), static_cast<int>(config.run.threads.value_or(0))));
  STOWAGE_RETURN_IF_ERROR(SetUpProcess(threads.threads));
  // Never deleted: tensors may hold its blocks to the end of the process.
  static auto* const system = new SystemSource;
  if (from_malloc) SetBlockSource(system);
  TrainOptions options;
  options.run_dir = run_dir;
  options.quiet = true;
  options.threads = threads.threads;
  options.thread_description = threads.description;
  return Train(config, communicator, options).status();
}

int Main(int argc, char** argv) {
  std::string config, blocks, run_dir;
  int64_t steps = 8;
  std::vector<std::string> sets;
  CLI::App app("Trains CONFIG for some steps with one source of tensors' blocks", "train_steps");
  app.add_option("CONFIG", config)->required();
  app.add_option("--blocks", blocks)->required()->check(CLI::IsMember({"pool", "malloc"}));
  app.add_option("--run-dir", run_dir, "the run folder, which must not exist")->required();
  app.add_option("--steps", steps)->check(CLI::Range(2, 1000));
  app.add_option("--set", sets, "key.path=value")->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);
  for (const std::string& set :
       {absl::StrCat("train.steps=", steps), std::string("train.epochs=none"), std::string("train.eval_sequences=16"),
        std::string("optimizer.schedule.warmup_steps=1")}) {
    sets.insert(sets.begin(), set);
  }
  const absl::Status status = TrainSteps(config, sets, run_dir, blocks == "malloc");
  if (!status.ok()) std::fprintf(stderr, "train_steps: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
