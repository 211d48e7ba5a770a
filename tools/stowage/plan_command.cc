#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "sharding/launch.h"
#include "tools/stowage/command.h"
#include "trainer/breakdown/profile.h"
#include "trainer/config/load.h"
#include "trainer/plan/memory_drawing.h"
#include "trainer/plan/plan_html.h"
#include "trainer/plan/plan_json.h"
#include "trainer/plan/plan_text.h"
#include "trainer/run/plan_run.h"
#include "trainer/run/speak.h"
#include "trainer/run/start.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Says what the experiment in CONFIG will hold in memory, before it is started: the run is rehearsed with tensors\n"
    "that have shapes and no bytes, in a second or so, at any number of ranks, and its peaks are set against\n"
    "memory.host. Where it does not fit, it says what would help, and the exit code is 3.\n"
    "\n"
    "  stowage plan configs/gpt2_124m.yaml\n"
    "  stowage plan configs/gpt2_124m.yaml --set memory.host=2GiB\n"
    "  stowage plan configs/gpt2_124m.yaml --ranks 64 --ranks-per-host 8\n"
    "  stowage plan configs/gpt2_124m.yaml --schedule --html plan.html\n"
    "\n"
    "Data is opened as a run opens it, for its shapes. docs/plan.md explains each line.\n";

struct Arguments {
  std::string config;
  std::vector<std::string> sets;
  int64_t ranks = 1;
  int64_t ranks_per_host = 0;  // 0: not given
  std::string machine;
  std::string svg, html;
  bool json = false;
  bool schedule = false;
  bool profile = false;
  bool breakdown = false;
};

// Without being told: as many as this machine has cores.
int RanksOnHost(const Arguments& arguments) {
  if (arguments.ranks_per_host != 0) return static_cast<int>(arguments.ranks_per_host);
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  return static_cast<int>(std::min(arguments.ranks, cores));
}

absl::Status Print(const Arguments& arguments, const Prediction& prediction) {
  if (!arguments.svg.empty()) STOWAGE_RETURN_IF_ERROR(WriteFileDurably(arguments.svg, MemoryDrawing(prediction)));
  if (!arguments.html.empty()) STOWAGE_RETURN_IF_ERROR(WriteFileDurably(arguments.html, PlanHtml(prediction)));
  if (arguments.json) {
    std::fputs(PredictionJson(prediction).c_str(), stdout);
    return absl::OkStatus();
  }
  for (const std::string& line : PlanLines(prediction)) std::printf("%s\n", line.c_str());
  if (arguments.schedule) {
    std::printf("\n");
    for (const std::string& line : InstructionLines(prediction)) std::printf("%s\n", line.c_str());
  }
  if (arguments.breakdown) std::printf("\n%s\n", prediction.breakdown.c_str());
  if (arguments.profile) {
    std::printf("\n");
    for (const std::string& line : ProfileLines(ProfileOf(prediction, "step"))) std::printf("%s\n", line.c_str());
  }
  return absl::OkStatus();
}

absl::StatusOr<Prediction> Plan(const Arguments& arguments, const OwnKinds& own) {
  STOWAGE_ASSIGN_OR_RETURN(const Config config, LoadConfig(arguments.config, arguments.sets, RegisteredOf(own)));
  const absl::Status resolves = ResolveWithoutData(config, RegisteredOf(own)).status();
  if (!resolves.ok()) return Annotate(resolves, arguments.config);
  PlanRequest request;
  request.name = arguments.config;
  if (arguments.ranks < 1 || arguments.ranks > 1000000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ranks ", arguments.ranks, ": from 1 to 1000000 can be planned for"));
  }
  request.world_size = static_cast<int>(arguments.ranks);
  if (arguments.ranks_per_host < 0 || arguments.ranks_per_host > arguments.ranks) {
    return absl::InvalidArgumentError(absl::StrCat("--ranks-per-host ", arguments.ranks_per_host, ": from 1 to --ranks (",
                                                   arguments.ranks, ") can be"));
  }
  request.ranks_on_host = RanksOnHost(arguments);
  request.machine_file = arguments.machine;
  request.launched = arguments.ranks > 1;
  return PlanRun(config, own, request);
}

int Run(const Arguments& arguments, const OwnKinds& own) {
  if (UnderLauncher()) {
    return FailTogether(absl::InvalidArgumentError("plan needs no ranks to plan for them: start it alone, with --ranks"),
                        kExitUsage);
  }
  const absl::StatusOr<Prediction> prediction = Plan(arguments, own);
  absl::Status status = prediction.status();
  if (status.ok()) status = Print(arguments, *prediction);
  if (!status.ok()) {
    Complain(status.message());
    return absl::IsInvalidArgument(status) || absl::IsUnimplemented(status) ? kExitUsage : kExitFailure;
  }
  if (prediction->fits()) return kExitOk;
  Complain(Refusal(*prediction).message());
  return kExitDoesNotFit;
}

}  // namespace

Command PlanCommand(const OwnKinds& own) {
  return {"plan", "Say what an experiment will hold in memory, and whether it fits", kLesson,
          [own](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("CONFIG", arguments->config, "The experiment, a YAML file")->required();
            app.add_option("--set", arguments->sets, "key.path=value, wins over the file; may be given again")
                ->allow_extra_args(false)
                ->type_name("KEY=VALUE");
            app.add_option("--ranks", arguments->ranks, "Ranks to plan for; 1 unless given");
            app.add_option("--ranks-per-host", arguments->ranks_per_host,
                           "How many of them share a host's memory; as many as this machine has cores unless given");
            app.add_option("--machine", arguments->machine, "What stowage calibrate wrote on the machine to plan for");
            app.add_flag("--json", arguments->json, "Print JSON; sizes in bytes");
            app.add_flag("--schedule", arguments->schedule, "Print what each instruction holds");
            app.add_flag("--breakdown", arguments->breakdown,
                         "Print where the bytes go by formulas, for ZeRO stages and devices too, beside what was rehearsed");
            app.add_flag("--profile", arguments->profile, "Print what a step holds over its start, highest instructions");
            app.add_option("--svg", arguments->svg, "Draw memory over the step into this file");
            app.add_option("--html", arguments->html, "Write a page with tables and the drawing into this file");
            return [arguments, own] { return Run(*arguments, own); };
          }};
}

}  // namespace stowage
