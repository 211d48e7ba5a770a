// config.json of a Hugging Face model folder, as keys of our `model:` section, and the way back.
//
// Read: GPT2LMHeadModel and LlamaForCausalLM as `transformers` writes them. What would change the arithmetic and has
// no counterpart here (another activation, scaled rotary embedding, attention biases) is refused by name, never
// ignored. Dropout is not taken over: it belongs to training, and `model.dropout` says what it is.
// Torch-free. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_INTEROP_HF_CONFIG_H_
#define STOWAGE_TRAINER_INTEROP_HF_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

// One key of ours that the folder decides.
struct HfSetting {
  std::string key;     // "model.width"
  std::string value;   // as written in YAML: "768"
  std::string hf_key;  // "n_embd"
  // The config may ask for less (model.context: fewer positions than the model was made for).
  bool may_be_less = false;
};

// The settings that `folder`/config.json decides, model.kind first.
// NotFound: no such file. InvalidArgument: not JSON, a key missing or of another type, an unknown architecture, or
// one of its variants that is not built here; the message names file, key, what was found and what can be read.
absl::StatusOr<std::vector<HfSetting>> ReadHfConfig(const std::string& folder);

// The same from text; `name` stands for the file in messages.
absl::StatusOr<std::vector<HfSetting>> ParseHfConfig(const std::string& text, const std::string& name);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_CONFIG_H_
