// Filling "auto" by the fixed rule, and refusing what is not built yet.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/contradictions.h"
#include "trainer/config/load.h"
#include "trainer/config/schema.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {
namespace {

// The rule is a bound on activations that needs no knowledge of the machine: 16 sequences give matrix products enough
// rows on any CPU, and 4096 tokens keep a layer's activations near the size of its weights. It must not depend on the
// number of ranks, because equal micro-batches are what makes losses equal over world sizes.
constexpr int64_t kMostSequences = 16;
constexpr int64_t kMostTokens = 4096;

int64_t AutoMicroBatch(int64_t global_batch, int64_t context) {
  for (int64_t size = std::min(global_batch, kMostSequences); size > 1; --size) {
    if (global_batch % size == 0 && size * context <= kMostTokens) return size;
  }
  return 1;
}

void FillAuto(const std::string& with, std::string& value) {
  if (value == "auto") value = with;
}

// A Config may have been filled in by a program: its values go through the same reading as a file's.
absl::Status CheckValues(const Config& config) {
  Config scratch;
  for (const Field& field : Fields()) {
    STOWAGE_ASSIGN_OR_RETURN(const YamlNode written, ParseYaml(field.write(config), field.key));
    STOWAGE_RETURN_IF_ERROR(Annotate(field.read(written, scratch), field.key));
  }
  return CheckContradictions(
      config, [](const std::string&) { return std::string(); }, "");
}

absl::Status RefuseWhatIsNotBuilt(const Config& config) {
  for (const Field& field : Fields()) {
    const std::string value = field.write(config);
    if (field.built.empty() || std::count(field.built.begin(), field.built.end(), value) > 0) continue;
    return absl::UnimplementedError(absl::StrCat(field.key, ": ", value, " is not built yet; ",
                                                 absl::StrJoin(field.built, " and "),
                                                 field.built.size() == 1 ? " is" : " are"));
  }
  return absl::OkStatus();
}

// Every "auto" that needs no data.
Config FillWithoutData(const Config& config) {
  Config resolved = config;
  FillAuto("cpu", resolved.run.device);
  FillAuto("update", resolved.train.reduce_per);
  FillAuto("none", resolved.memory.recompute);
  FillAuto("device", resolved.memory.offload.optimizer);
  FillAuto("device", resolved.memory.offload.gradients);
  FillAuto("device", resolved.memory.offload.parameters);
  FillAuto("device", resolved.memory.offload.activations);
  if (!resolved.sharding.zero.has_value()) resolved.sharding.zero = 0;
  if (!resolved.model.ffn.has_value()) resolved.model.ffn = 4 * resolved.model.width;
  if (!resolved.train.micro_batch.has_value()) {
    resolved.train.micro_batch = AutoMicroBatch(resolved.train.global_batch, resolved.model.context);
  }
  return resolved;
}

absl::Status ResolveVocabulary(int64_t data_vocabulary, ModelConfig& model) {
  if (!model.vocabulary.has_value()) {
    if (data_vocabulary <= 0) {
      return absl::InvalidArgumentError(
          "model.vocabulary: auto, but the data does not say how many tokens there are; give a number");
    }
    model.vocabulary = data_vocabulary;
  }
  if (*model.vocabulary < data_vocabulary) {
    return absl::InvalidArgumentError(absl::StrCat("model.vocabulary: ", *model.vocabulary, ", but the data holds ",
                                                   data_vocabulary, " tokens; give that or more, or auto"));
  }
  return absl::OkStatus();
}

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

// Samples that are vectors, sequences or images, with classes or numbers to predict.
absl::Status ResolveSamples(const DataShape& data, ModelConfig& model) {
  if (!model.input.has_value()) model.input = data.input;
  if (*model.input != data.input) {
    return absl::InvalidArgumentError(absl::StrCat("model.input: ", ShapeText(*model.input),
                                                   ", but a sample of the data is ", ShapeText(data.input),
                                                   "; give that, or auto"));
  }
  if (!model.outputs.has_value()) model.outputs = data.outputs;
  const bool fits = data.classes ? *model.outputs >= data.outputs : *model.outputs == data.outputs;
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat("model.outputs: ", *model.outputs, ", but the data has ",
                                                   data.outputs, data.classes ? " classes" : " numbers to predict",
                                                   "; give that", data.classes ? " or more" : "", ", or auto"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ResolveWithoutData(const Config& config) {
  STOWAGE_RETURN_IF_ERROR(CheckValues(config));
  Config resolved = FillWithoutData(config);
  STOWAGE_RETURN_IF_ERROR(RefuseWhatIsNotBuilt(resolved));
  return resolved;
}

absl::StatusOr<Config> ResolveConfig(const Config& config, const DataShape& data) {
  STOWAGE_ASSIGN_OR_RETURN(Config resolved, ResolveWithoutData(config));
  if (data.input.empty()) {
    STOWAGE_RETURN_IF_ERROR(ResolveVocabulary(data.vocabulary, resolved.model));
  } else {
    STOWAGE_RETURN_IF_ERROR(ResolveSamples(data, resolved.model));
  }
  return resolved;
}

}  // namespace stowage
