#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "tools/stowage/command.h"
#include "trainer/config/load.h"
#include "trainer/run/speak.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Checks an experiment without starting it: every key, type, range and contradiction, and whether what it asks for\n"
    "is built. Data files are not opened.\n"
    "\n"
    "  stowage config configs/baby_gpt.yaml                                 good, or file:line:column and why\n"
    "  stowage config configs/baby_gpt.yaml --set model.layers=12 --resolved   every key, auto filled in\n"
    "  stowage config --keys                                                all keys, with defaults and ranges\n"
    "  stowage config --schema > stowage.schema.json                        for editors that check YAML\n";

struct Arguments {
  std::string config;
  std::vector<std::string> sets;
  bool resolved = false;
  bool schema = false;
  bool keys = false;
};

int Check(const Arguments& arguments, const Registered& registered) {
  const absl::StatusOr<Config> config = LoadConfig(arguments.config, arguments.sets, registered);
  if (!config.ok()) {
    Complain(config.status().message());
    return kExitUsage;
  }
  const absl::StatusOr<Config> resolved = ResolveWithoutData(*config, registered);
  if (!resolved.ok()) {
    Complain(absl::StrCat(arguments.config, ": ", resolved.status().message()));
    return kExitUsage;
  }
  if (!arguments.resolved) {
    std::printf("%s: good\n", arguments.config.c_str());
    return kExitOk;
  }
  std::fputs(ConfigToYaml(*resolved).c_str(), stdout);
  return kExitOk;
}

int Run(const Arguments& arguments, const Registered& registered) {
  if (!IsFirstRank()) return kExitOk;
  if (arguments.schema) {
    std::fputs(ConfigJsonSchema(registered).c_str(), stdout);
  } else if (arguments.keys) {
    std::fputs(ConfigHelp(registered).c_str(), stdout);
  } else if (arguments.config.empty()) {
    Complain("config: name a CONFIG to check, or ask for --keys or --schema");
    return kExitUsage;
  } else {
    return Check(arguments, registered);
  }
  return kExitOk;
}

}  // namespace

Command ConfigCommand(const OwnKinds& own) {
  return {"config", "Check a config, print it resolved, list the keys", kLesson,
          [own](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("CONFIG", arguments->config, "The experiment, a YAML file");
            app.add_option("--set", arguments->sets, "key.path=value, wins over the file; may be given again")
                ->allow_extra_args(false)
                ->type_name("KEY=VALUE");
            CLI::Option* resolved = app.add_flag("--resolved", arguments->resolved, "Print it with auto filled in");
            CLI::Option* schema = app.add_flag("--schema", arguments->schema, "Print the JSON Schema of configs");
            CLI::Option* keys = app.add_flag("--keys", arguments->keys, "Print all keys with type, default and range");
            schema->excludes(resolved);
            schema->excludes(keys);
            keys->excludes(resolved);
            return [arguments, own] { return Run(*arguments, RegisteredOf(own)); };
          }};
}

}  // namespace stowage
