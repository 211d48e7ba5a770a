// From `model.kind` to a model. The one list of kinds; a program with models of its own adds to a copy of it.
#ifndef STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_
#define STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved: what the data decides (vocabulary, input, outputs) is set. InvalidArgument: sizes that make no
// such model; the message names the key.
using ModelFactory = std::function<absl::StatusOr<Model>(const ModelConfig& config)>;
using ModelKinds = std::map<std::string, ModelFactory>;

// gpt2.
ModelKinds BuiltInModelKinds();

// InvalidArgument: no such kind; names those there are. `config` is resolved.
absl::StatusOr<Model> MakeModel(const ModelKinds& kinds, const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_
