#include "trainer/config/model_keys.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trainer/config/schema.h"

namespace stowage {
namespace {

struct Kind {
  const char* name;
  std::vector<std::string> keys;
  bool tokens;             // takes tokens
  std::vector<int> ranks;  // dimensions that a sample may have where it is no tokens; empty: takes no such samples
  const char* takes;       // for messages
};

constexpr int kAnyRank = -1;

const std::vector<Kind>& Kinds() {
  static const auto* const kinds = new std::vector<Kind>{
      {"gpt2",
       {"layers", "width", "heads", "attention", "context", "ffn", "vocabulary", "dropout", "bias", "norm_bias", "tie",
        "init_from"},
       true,
       {},
       "text or tokens"},
      {"llama",
       {"layers", "width", "heads", "kv_heads", "attention", "context", "ffn", "vocabulary", "dropout", "tie",
        "norm_eps", "rope_theta", "init_from"},
       true,
       {},
       "text or tokens"},
      {"mlp",
       {"layers", "width", "dropout", "bias", "input", "outputs", "loss"},
       false,
       {kAnyRank},
       "images, vectors "
       "or sequences of vectors"},
      {"cnn",
       {"layers", "width", "dropout", "input", "outputs", "loss"},
       false,
       {3},
       "images: samples of [channels, "
       "height, width]"},
      {"rnn",
       {"layers", "width", "cell", "context", "vocabulary", "dropout", "bias", "tie", "input", "outputs", "loss"},
       true,
       {2},
       "text, tokens, or sequences of vectors: samples of [time, features]"},
  };
  return *kinds;
}

const Kind* FindKind(const std::string& name) {
  for (const Kind& kind : Kinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

constexpr char kPrefix[] = "model.";

}  // namespace

bool ModelKindHasKey(const std::string& kind, const std::string& key) {
  const Kind* found = FindKind(kind);
  if (found == nullptr || key.rfind(kPrefix, 0) != 0 || key == "model.kind") return true;
  return std::count(found->keys.begin(), found->keys.end(), key.substr(sizeof(kPrefix) - 1)) > 0;
}

std::string ModelKeysText(const std::string& kind) {
  const Kind* found = FindKind(kind);
  if (found == nullptr) return "";
  std::vector<std::string> keys;
  for (const std::string& key : found->keys) {
    if (FindField(kPrefix + key) != nullptr) keys.push_back(key);
  }
  return absl::StrJoin(keys, ", ");
}

absl::Status CheckDataOfKind(const std::string& kind, const DataShape& data) {
  const Kind* found = FindKind(kind);
  if (found == nullptr) return absl::OkStatus();
  std::string is = "text or tokens";
  if (data.input.empty()) {
    if (found->tokens) return absl::OkStatus();
  } else {
    for (int rank : found->ranks) {
      if (rank == kAnyRank || rank == static_cast<int>(data.input.size())) return absl::OkStatus();
    }
    is = absl::StrCat("samples of [", absl::StrJoin(data.input, ", "), "]");
  }
  return absl::InvalidArgumentError(absl::StrCat("model.kind: ", kind, " learns from ", found->takes,
                                                 ", but the data is ", is, "; choose another kind or other data"));
}

std::map<std::string, std::string> ModelValues(const Config& config) {
  std::map<std::string, std::string> values;
  for (const Field& field : Fields()) {
    if (field.Section() != "model" || field.effect != Effect::kResults) continue;
    if (ModelKindHasKey(config.model.kind, field.key)) values[field.key] = field.write(config);
  }
  return values;
}

}  // namespace stowage
