#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "base/exit_code.h"
#include "sharding/launch.h"
#include "sharding/solo_communicator.h"
#include "tools/stowage/command.h"
#include "trainer/run/speak.h"
#include "trainer/run/process.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Continues a text with a run's newest whole checkpoint (or the checkpoint folder given itself). The same seed\n"
    "gives the same text. One process: under a launcher rank 0 does it.\n"
    "\n"
    "  stowage sample runs/kjv-gpt\n"
    "  stowage sample runs/kjv-gpt --prompt 'In the beginning' --tokens 500 --temperature 0.7 --top-k 40 --seed 7\n";

struct Arguments {
  std::string run;
  SampleOptions options;
};

int Run(const Arguments& arguments, const OwnKinds& own) {
  if (!IsFirstRank()) return kExitOk;
  // Alone on its host: this process is not one of several, whatever started it.
  const absl::StatusOr<ThreadPlan> threads = PlanThreads(Placement(), 0);
  if (!threads.ok()) {
    Complain(threads.status().message());
    return kExitFailure;
  }
  if (const absl::Status set_up = SetUpProcess(threads->threads); !set_up.ok()) {
    Complain(set_up.message());
    return kExitFailure;
  }
  const absl::StatusOr<std::string> text = Sample(arguments.run, arguments.options, own);
  if (!text.ok()) {
    Complain(text.status().message());
    return kExitFailure;
  }
  std::printf("%s\n", text->c_str());
  return kExitOk;
}

}  // namespace

Command SampleCommand(const OwnKinds& own) {
  return {"sample", "Continue a text with a run's model", kLesson, [own](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            SampleOptions& options = arguments->options;
            app.add_option("RUN", arguments->run, "A run folder, or one of its checkpoint folders")->required();
            app.add_option("--prompt", options.prompt, "What to continue; a line break unless given");
            app.add_option("--tokens", options.tokens, "How many to add")
                ->check(CLI::PositiveNumber)
                ->capture_default_str();
            app.add_option("--temperature", options.temperature, "Below 1: likelier tokens; 0: always the likeliest")
                ->check(CLI::Range(0.0, 100.0))
                ->capture_default_str();
            app.add_option("--top-k", options.top_k, "Draw from the k likeliest tokens only; 0: from all")
                ->check(CLI::NonNegativeNumber)
                ->capture_default_str();
            app.add_option("--seed", options.seed, "Another seed, another text")->capture_default_str();
            return [arguments, own] { return Run(*arguments, own); };
          }};
}

}  // namespace stowage
