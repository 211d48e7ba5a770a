#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "tools/stowage/command.h"
#include "trainer/run/start.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Measures a run's newest whole checkpoint (or the checkpoint folder given itself) on its validation set, each\n"
    "sequence counted once. The loss is the mean over tokens, in nats; of text in subwords also the mean over its bytes,\n"
    "which can be compared between tokenizers; of classes also the accuracy, the share classed right.\n"
    "\n"
    "  stowage eval runs/kjv-gpt\n"
    "  stowage eval runs/kjv-gpt/checkpoints/step-200 --sequences 100\n"
    "  mpirun -n 2 stowage eval runs/kjv-gpt\n";

struct Arguments {
  std::string run;
  int64_t sequences = 0;
};

absl::Status RunEval(const Arguments& arguments, const OwnKinds& own, Communicator& communicator) {
  STOWAGE_ASSIGN_OR_RETURN(const EvalOutcome outcome, Evaluate(arguments.run, communicator, arguments.sequences, own));
  if (communicator.rank() != 0) return absl::OkStatus();
  const std::string per_byte =
      outcome.text_bytes_per_token > 0.0
          ? absl::StrFormat("  per_byte %.6f", outcome.validation_loss / outcome.text_bytes_per_token)
          : "";
  const std::string accuracy = outcome.accuracy ? absl::StrFormat("  accuracy %.6f", *outcome.accuracy) : "";
  const std::string perplexity =
      outcome.samples ? "" : absl::StrFormat("  perplexity %.4f", std::exp(outcome.validation_loss));
  std::fputs(absl::StrFormat("step %d  validation_loss %.6f%s%s%s  %s %d  seconds %.1f  %s\n", outcome.step,
                             outcome.validation_loss, per_byte, perplexity, accuracy,
                             outcome.samples ? "samples" : "tokens", outcome.tokens, outcome.seconds,
                             outcome.checkpoint)
                 .c_str(),
             stdout);
  return absl::OkStatus();
}

}  // namespace

Command EvalCommand(const OwnKinds& own) {
  return {"eval", "Measure a run's checkpoint on its validation set", kLesson,
          [own](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("RUN", arguments->run, "A run folder, or one of its checkpoint folders")->required();
            app.add_option("--sequences", arguments->sequences, "Only so many, spread evenly; all unless given")
                ->check(CLI::PositiveNumber);
            return [arguments, own] {
              return StartAndRun({}, [&](Communicator& communicator, const ThreadPlan&, ExitCode*) {
                return RunEval(*arguments, own, communicator);
              });
            };
          }};
}

}  // namespace stowage
