#include "trainer/model/model_kinds.h"

#include "absl/strings/str_cat.h"
#include "trainer/model/cnn.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/llama.h"
#include "trainer/model/mlp.h"
#include "trainer/model/rnn.h"

namespace stowage {

ModelKinds BuiltInModelKinds() {
  return {{"gpt2", MakeGpt2}, {"llama", MakeLlama}, {"mlp", MakeMlp}, {"cnn", MakeCnn}, {"rnn", MakeRnn}};
}

absl::StatusOr<Model> MakeModel(const ModelKinds& kinds, const ModelConfig& config) {
  const auto found = kinds.find(config.kind);
  if (found != kinds.end()) return found->second.make(config);
  std::string known;
  for (const auto& [name, factory] : kinds) absl::StrAppend(&known, known.empty() ? "" : ", ", name);
  return absl::InvalidArgumentError(
      absl::StrCat("model.kind: ", config.kind, " is not registered in this program; it has: ", known));
}

}  // namespace stowage
