// Filling "auto" by the fixed rule, and refusing what is not built yet.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/contradictions.h"
#include "trainer/config/load.h"
#include "trainer/config/model_keys.h"
#include "trainer/config/registered.h"
#include "trainer/config/schema.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {
namespace {

// The rule is a bound on activations that needs no knowledge of the machine: 16 sequences give matrix products enough
// rows on any CPU, and 4096 tokens keep a layer's activations near the size of its weights. It must not depend on the
// number of ranks, because equal micro-batches are what makes losses equal over world sizes.
constexpr int64_t kMostSequences = 16;
constexpr int64_t kMostTokens = 4096;

// Samples that are no tokens: an image gives a convolution as many rows as a sequence gives a product, a vector gives
// one. 2^20 elements are 128 images of 3 x 52 x 52; 4 MiB of input bound what a layer makes of it.
constexpr int64_t kMostSamples = 128;
constexpr int64_t kMostElements = int64_t{1} << 20;

// The largest divisor of the global batch within both bounds.
int64_t LargestDivisor(int64_t global_batch, int64_t most, int64_t unit, int64_t most_units) {
  for (int64_t size = std::min(global_batch, most); size > 1; --size) {
    if (global_batch % size == 0 && size * unit <= most_units) return size;
  }
  return 1;
}

int64_t AutoMicroBatch(int64_t global_batch, int64_t context) {
  return LargestDivisor(global_batch, kMostSequences, context, kMostTokens);
}

int64_t AutoMicroBatchOfSamples(int64_t global_batch, const std::vector<int64_t>& input) {
  int64_t elements = 1;
  for (int64_t size : input) elements *= size;
  return LargestDivisor(global_batch, kMostSamples, elements, kMostElements);
}

// The kind's own choices.
void FillModel(ModelConfig& model) {
  const auto has = [&](const char* key) { return ModelKindHasKey(model.kind, key); };
  const bool llama = model.kind == "llama";
  if (!model.ffn.has_value() && has("model.ffn")) {
    constexpr int64_t kMultiple = 256;  // Llama's own rounding: 11008 for 4096
    const int64_t two_thirds = 8 * model.width / 3;
    model.ffn = llama ? (two_thirds + kMultiple - 1) / kMultiple * kMultiple : 4 * model.width;
  }
  if (!model.kv_heads.has_value() && has("model.kv_heads")) model.kv_heads = model.heads;
  if (!model.norm_bias.has_value() && has("model.norm_bias")) model.norm_bias = model.bias;
  if (!model.tie.has_value() && has("model.tie")) model.tie = !llama && model.kind != "rnn";
}

void FillAuto(const std::string& with, std::string& value) {
  if (value == "auto") value = with;
}

// A Config may have been filled in by a program: its values go through the same reading as a file's.
absl::Status CheckValues(const Config& config, const Registered& registered) {
  Config scratch;
  for (const Field& field : Fields()) {
    STOWAGE_ASSIGN_OR_RETURN(const YamlNode written, ParseYaml(field.write(config), field.key));
    STOWAGE_RETURN_IF_ERROR(Annotate(ReadFieldWith(registered, field, written, scratch), field.key));
  }
  const auto no_place = [](const std::string&) { return std::string(); };
  STOWAGE_RETURN_IF_ERROR(CheckModelOptions(registered, config, no_place));
  return CheckContradictions(config, no_place, "", registered.IsSource(config.data.source));
}

absl::Status RefuseWhatIsNotBuilt(const Config& config, const Registered& registered) {
  for (const Field& field : Fields()) {
    const std::string value = field.write(config);
    if (IsRegistered(registered, field, config)) continue;
    if (field.built.empty() || std::count(field.built.begin(), field.built.end(), value) > 0) continue;
    return absl::UnimplementedError(absl::StrCat(field.key, ": ", value, " is not built yet; ",
                                                 absl::StrJoin(field.built, " and "),
                                                 field.built.size() == 1 ? " is" : " are"));
  }
  return absl::OkStatus();
}

// Every "auto" that needs no data.
Config FillWithoutData(const Config& config, const Registered& registered) {
  Config resolved = config;
  FillAuto("cpu", resolved.run.device);
  FillAuto("none", resolved.memory.recompute);
  FillAuto("device", resolved.memory.offload.optimizer);
  FillAuto("device", resolved.memory.offload.gradients);
  FillAuto("device", resolved.memory.offload.parameters);
  FillAuto("device", resolved.memory.offload.activations);
  if (!resolved.sharding.zero.has_value()) resolved.sharding.zero = 0;
  FillAuto(*resolved.sharding.zero >= 2 ? "micro" : "update", resolved.train.reduce_per);
  // A kind of the program's own has its options; what it makes of the other keys is its own affair.
  if (registered.IsModel(resolved.model.kind)) {
    FillModelOptions(registered, resolved.model);
  } else {
    FillModel(resolved.model);
  }
  // Of a kind without a context only the data knows how large a sample is.
  if (!resolved.train.micro_batch.has_value() && ModelKindHasKey(resolved.model.kind, "model.context")) {
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

// Keys that mean something for tokens only, where the data is none.
absl::Status RefuseTokenKeys(const ModelConfig& model) {
  std::string key;
  if (model.vocabulary.has_value()) key = "model.vocabulary";
  if (model.context != ModelConfig().context) key = "model.context";
  if (model.tie.value_or(false)) key = "model.tie";
  if (key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": is about tokens, but the data is samples of another kind; leave it out"));
}

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
  const std::string loss = data.classes ? "cross_entropy" : "mse";
  if (model.loss == "auto" && ModelKindHasKey(model.kind, "model.loss")) model.loss = loss;
  if (model.loss != "auto" && model.loss != loss) {
    return absl::InvalidArgumentError(absl::StrCat("model.loss: ", model.loss, ", but the data has ",
                                                   data.classes ? "classes" : "numbers to predict", "; give ", loss,
                                                   " or auto"));
  }
  return absl::OkStatus();
}

absl::Status ResolveTokens(const DataShape& data, ModelConfig& model) {
  if (model.input.has_value() || model.outputs.has_value() || model.loss != "auto") {
    const std::string key = model.input.has_value() ? "input" : model.outputs.has_value() ? "outputs" : "loss";
    return absl::InvalidArgumentError(
        absl::StrCat("model.", key, ": is about samples that are no tokens, but the data is tokens; leave it out"));
  }
  return ResolveVocabulary(data.vocabulary, model);
}

// A kind of the program's own gets what the data says of itself, where it says something.
absl::Status ResolveOwnKind(const DataShape& data, ModelConfig& model) {
  if (data.vocabulary > 0) return ResolveVocabulary(data.vocabulary, model);
  if (!data.input.empty() && !model.input.has_value()) model.input = data.input;
  if (data.outputs > 0 && !model.outputs.has_value()) model.outputs = data.outputs;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ResolveWithoutData(const Config& config, const Registered& registered) {
  STOWAGE_RETURN_IF_ERROR(CheckValues(config, registered));
  Config resolved = FillWithoutData(config, registered);
  STOWAGE_RETURN_IF_ERROR(RefuseWhatIsNotBuilt(resolved, registered));
  return resolved;
}

absl::StatusOr<Config> ResolveConfig(const Config& config, const DataShape& data, const Registered& registered) {
  STOWAGE_ASSIGN_OR_RETURN(Config resolved, ResolveWithoutData(config, registered));
  if (resolved.data.tokenizer.empty()) resolved.data.tokenizer = data.tokenizer;
  if (data.tokenizer == "bpe") resolved.data.tokenizer_vocabulary = data.vocabulary;
  if (registered.IsModel(config.model.kind)) {
    STOWAGE_RETURN_IF_ERROR(ResolveOwnKind(data, resolved.model));
    return resolved;
  }
  STOWAGE_RETURN_IF_ERROR(CheckDataOfKind(config.model.kind, data));
  if (data.input.empty()) {
    STOWAGE_RETURN_IF_ERROR(ResolveTokens(data, resolved.model));
  } else {
    STOWAGE_RETURN_IF_ERROR(RefuseTokenKeys(resolved.model));
    STOWAGE_RETURN_IF_ERROR(ResolveSamples(data, resolved.model));
    if (!config.train.micro_batch.has_value()) {
      resolved.train.micro_batch = AutoMicroBatchOfSamples(config.train.global_batch, data.input);
    }
  }
  return resolved;
}

}  // namespace stowage
