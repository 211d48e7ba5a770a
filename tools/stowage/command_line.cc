#include "tools/stowage/command_line.h"

#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/exit_code.h"
#include "tools/stowage/exit_codes.h"
#include "trainer/config/registered.h"
#include "trainer/run/speak.h"
#include "trainer/run/start.h"

namespace stowage {
namespace {

constexpr char kDescription[] =
    "Stowage trains a model inside the memory you have, on one core or on many ranks.\n"
    "\n"
    "  stowage train configs/quickstart.yaml          train a small GPT on real text\n"
    "  mpirun -n 2 stowage train configs/a.yaml       the same program on two ranks\n"
    "  stowage COMMAND --help                         what a command does, with examples";

std::string NamesOf(const std::vector<Command>& commands) {
  return absl::StrJoin(commands, ", ", [](std::string* out, const Command& c) { absl::StrAppend(out, c.name); });
}

// The parser's own words are for options; a wrong command deserves the list of right ones.
std::string WhatIsWrong(const CLI::ParseError& error, int argc, char** argv, const std::vector<Command>& commands) {
  const std::string first = argc > 1 ? argv[1] : "";
  for (const Command& command : commands) {
    if (first == command.name) return absl::StrCat(error.what(), "; see: stowage ", first, " --help");
  }
  if (first.empty() || first[0] == '-') return absl::StrCat(error.what(), "; see: stowage --help");
  return absl::StrCat("no command \"", first, "\"; there are ", NamesOf(commands));
}

}  // namespace

std::vector<Command> Commands(const OwnKinds& own) {
  return {TrainCommand(own),  PlanCommand(own),   EvalCommand(own),   SampleCommand(own), PrepareCommand(),
          ExportCommand(), ConfigCommand(own), CalibrateCommand(), DoctorCommand(), VersionCommand()};
}

int RunCommandLine(int argc, char** argv, const std::vector<Command>& commands, const OwnKinds& own) {
  CLI::App app(absl::StrCat(kDescription, "\n", RegisteredHelp(RegisteredOf(own))), "stowage");
  app.require_subcommand(1);
  app.footer(ExitCodesFooter());
  std::function<int()> chosen;
  for (const Command& command : commands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->footer(absl::StrCat("\n", command.lesson, "\n", ExitCodesFooter()));
    sub->callback([&chosen, run = command.declare(*sub)] { chosen = run; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return IsFirstRank() ? app.exit(help) : kExitOk;
  } catch (const CLI::ParseError& error) {
    return FailTogether(absl::InvalidArgumentError(WhatIsWrong(error, argc, argv, commands)), kExitUsage);
  }
  return chosen();
}

int Main(int argc, char** argv, const ModelKinds& models, const DataSources& data) {
  const OwnKinds own{models, data};
  const absl::Status good = CheckOwnKinds(own);
  if (!good.ok()) return FailTogether(good, kExitUsage);
  return RunCommandLine(argc, argv, Commands(own), own);
}

}  // namespace stowage
