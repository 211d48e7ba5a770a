// YAML to Config and back. Every error names file, line and column, what was found, what is allowed, and the
// nearest key: "configs/a.yaml:7:3: model.witdh: no such key; did you mean model.width?"
//
// Thread-safe: no state. Pure functions of files and environment.
#ifndef STOWAGE_TRAINER_CONFIG_LOAD_H_
#define STOWAGE_TRAINER_CONFIG_LOAD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/config/data_shape.h"
#include "trainer/config/registered.h"

namespace stowage {

// Reads `path` (with `include:`; maps merge, later keys win, lists replace; includes are relative to the file that
// names them), then applies each "key.path=value" of `sets`, expands ${ENV} in paths, checks types, ranges and
// contradictions. Nothing is resolved yet: "auto" stays; only what `preset` decides is filled in, where the key was not
// written at all. A config needs data and a length: data.source or data.train,
// train.steps or train.epochs.
// What the folder of model.init_from decides (kind, sizes) is filled in, and checked where it is given too.
// NotFound (a file) / InvalidArgument, with the place; the place of a --set is "--set key=value".
// `registered` here and below: what the program adds to what is built in.
absl::StatusOr<Config> LoadConfig(const std::string& path, const std::vector<std::string>& sets,
                                  const Registered& registered = {});

// The same from text; `name` stands for the file in messages. No include, and no sizes from model.init_from: the text
// of a resolved config has them, and outlives the folder.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& name,
                                   const std::vector<std::string>& sets = {}, const Registered& registered = {});

// Fills every "auto" by the fixed, documented rule (until a search exists), and refuses values whose feature is not
// built yet, by name ("sharding.zero: 3 is not built yet; 0 is"). `data` is what the opened data says of itself.
// micro_batch: independent of the number of ranks. run.threads, sharding.backend, data.format and the budgets keep
// their "auto": they are decided at launch, or mean "no bound".
// Unimplemented: a value that is not built yet. InvalidArgument: values or contradictions that a file would not get
// through with either (the Config may come from a program), or a vocabulary that is missing or too small.
// A resolved Config resolves to itself.
absl::StatusOr<Config> ResolveConfig(const Config& config, const DataShape& data, const Registered& registered = {});

// The part of ResolveConfig that needs no data: what can be refused, and filled, before any is opened.
absl::StatusOr<Config> ResolveWithoutData(const Config& config, const Registered& registered = {});

// A YAML file that loads back to the same Config, every key written, with one comment per section.
std::string ConfigToYaml(const Config& config);

// Keys whose values differ, one line each: "train.global_batch: 16 here, 32 there". Empty if none.
std::vector<std::string> ConfigDifferences(const Config& here, const Config& there);

std::string ConfigHelp(const Registered& registered = {});  // for a terminal: every key, type, default, range, one sentence
std::string ConfigMarkdown();    // docs/config.md
std::string ConfigJsonSchema(const Registered& registered = {});  // JSON Schema draft 2020-12

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_LOAD_H_
