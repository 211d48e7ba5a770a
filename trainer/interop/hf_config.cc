#include "trainer/interop/hf_config.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

using Json = nlohmann::json;

// Reads keys one after another and remembers the first that is wrong.
class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& name) : json_(json), name_(name) {}

  const absl::Status& status() const { return status_; }
  std::vector<HfSetting> Settings() && { return std::move(settings_); }

  void Set(const std::string& key, const std::string& value, const std::string& hf_key) {
    settings_.push_back({key, value, hf_key});
  }

  int64_t Count(const char* hf_key) {
    const Json* value = Find(hf_key);
    if (value == nullptr) {
      Refuse(absl::StrCat("no ", hf_key, "; a ", kind_, " model needs it"));
      return 0;
    }
    return CountOf(hf_key, *value);
  }

  int64_t CountOr(const char* hf_key, int64_t otherwise) {
    const Json* value = Find(hf_key);
    return value == nullptr ? otherwise : CountOf(hf_key, *value);
  }

  bool BoolOr(const char* hf_key, bool otherwise) {
    const Json* value = Find(hf_key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) {
      Refuse(absl::StrCat(hf_key, ": must be true or false, found ", value->dump()));
      return otherwise;
    }
    return value->get<bool>();
  }

  // The number as JSON writes it, which YAML reads back to the same bits.
  std::string NumberOr(const Json& from, const char* hf_key, const std::string& otherwise) {
    const auto found = from.find(hf_key);
    if (found == from.end() || found->is_null()) return otherwise;
    if (!found->is_number()) {
      Refuse(absl::StrCat(hf_key, ": must be a number, found ", found->dump()));
      return otherwise;
    }
    return found->dump();
  }

  // What has no counterpart here must have the value that changes nothing.
  void Want(const char* hf_key, const std::vector<Json>& allowed) {
    const Json* value = Find(hf_key);
    if (value == nullptr) return;
    for (const Json& one : allowed) {
      if (*value == one) return;
    }
    Refuse(absl::StrCat(hf_key, ": ", value->dump(), " is not built in Stowage; it reads ", allowed[0].dump()));
  }

  void Refuse(absl::string_view what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(name_, ": ", what));
  }

  const Json* Find(const char* hf_key) const {
    const auto found = json_.find(hf_key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  void set_kind(const std::string& kind) { kind_ = kind; }
  const Json& json() const { return json_; }
  std::vector<HfSetting>& settings() { return settings_; }

 private:
  int64_t CountOf(const char* hf_key, const Json& value) {
    if (value.is_number_unsigned() && value.get<uint64_t>() >= 1 && value.get<uint64_t>() <= uint64_t{1} << 40) {
      return value.get<int64_t>();
    }
    Refuse(absl::StrCat(hf_key, ": must be a whole number of 1 or more, found ", value.dump()));
    return 0;
  }

  const Json& json_;
  const std::string& name_;
  std::string kind_;
  absl::Status status_;
  std::vector<HfSetting> settings_;
};

const char* Word(bool value) { return value ? "true" : "false"; }

void ReadGpt2(ConfigReader& reader) {
  const int64_t width = reader.Count("n_embd");
  reader.Set("model.layers", absl::StrCat(reader.Count("n_layer")), "n_layer");
  reader.Set("model.width", absl::StrCat(width), "n_embd");
  reader.Set("model.heads", absl::StrCat(reader.Count("n_head")), "n_head");
  reader.Set("model.context", absl::StrCat(reader.Count("n_positions")), "n_positions");
  reader.settings().back().may_be_less = true;
  reader.Set("model.ffn", absl::StrCat(reader.CountOr("n_inner", 4 * width)), "n_inner");
  reader.Set("model.vocabulary", absl::StrCat(reader.Count("vocab_size")), "vocab_size");
  reader.Set("model.tie", Word(reader.BoolOr("tie_word_embeddings", true)), "tie_word_embeddings");
  reader.Set("model.bias", "true", "model_type gpt2");
  reader.Set("model.norm_bias", "true", "model_type gpt2");
  reader.Want("activation_function", {"gelu_new", "gelu_pytorch_tanh"});
  reader.Want("layer_norm_epsilon", {1e-5});
  reader.Want("scale_attn_weights", {true});
  reader.Want("scale_attn_by_inverse_layer_idx", {false});
  reader.Want("add_cross_attention", {false});
}

// rope_theta stands at the top (until transformers 4) or in rope_parameters (since 5); so does the scaling.
std::string ReadRope(ConfigReader& reader) {
  std::string theta = reader.NumberOr(reader.json(), "rope_theta", "10000.0");
  for (const char* where : {"rope_scaling", "rope_parameters"}) {
    const Json* rope = reader.Find(where);
    if (rope == nullptr) continue;
    if (!rope->is_object()) {
      reader.Refuse(absl::StrCat(where, ": must be an object, found ", rope->dump()));
      continue;
    }
    for (const char* type : {"rope_type", "type"}) {
      const auto found = rope->find(type);
      if (found != rope->end() && *found != "default") {
        reader.Refuse(absl::StrCat(where, ": ", type, " ", found->dump(),
                                   " is not built in Stowage; it reads \"default\", the rotary embedding unscaled"));
      }
    }
    theta = reader.NumberOr(*rope, "rope_theta", theta);
  }
  return theta;
}

void ReadLlama(ConfigReader& reader) {
  const int64_t width = reader.Count("hidden_size"), heads = reader.Count("num_attention_heads");
  reader.Set("model.layers", absl::StrCat(reader.Count("num_hidden_layers")), "num_hidden_layers");
  reader.Set("model.width", absl::StrCat(width), "hidden_size");
  reader.Set("model.heads", absl::StrCat(heads), "num_attention_heads");
  reader.Set("model.kv_heads", absl::StrCat(reader.CountOr("num_key_value_heads", heads)), "num_key_value_heads");
  reader.Set("model.context", absl::StrCat(reader.Count("max_position_embeddings")), "max_position_embeddings");
  reader.settings().back().may_be_less = true;
  reader.Set("model.ffn", absl::StrCat(reader.Count("intermediate_size")), "intermediate_size");
  reader.Set("model.vocabulary", absl::StrCat(reader.Count("vocab_size")), "vocab_size");
  reader.Set("model.tie", Word(reader.BoolOr("tie_word_embeddings", false)), "tie_word_embeddings");
  reader.Set("model.norm_eps", reader.NumberOr(reader.json(), "rms_norm_eps", "1e-06"), "rms_norm_eps");
  reader.Set("model.rope_theta", ReadRope(reader), "rope_theta");
  reader.Want("hidden_act", {"silu", "swish"});
  reader.Want("attention_bias", {false});
  reader.Want("mlp_bias", {false});
  if (reader.status().ok() && heads > 0 && reader.CountOr("head_dim", width / heads) * heads != width) {
    reader.Refuse(absl::StrCat("head_dim: ", reader.CountOr("head_dim", 0), " is not hidden_size ", width,
                               " / num_attention_heads ", heads, "; other sizes are not built in Stowage"));
  }
}

}  // namespace

absl::StatusOr<std::vector<HfSetting>> ParseHfConfig(const std::string& text, const std::string& name) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(absl::StrCat(name, ": not JSON with one object"));
  ConfigReader reader(json, name);
  const Json* type = reader.Find("model_type");
  const std::string kind = type != nullptr && type->is_string() ? type->get<std::string>() : "";
  const std::string wanted = kind == "gpt2" ? "GPT2LMHeadModel" : kind == "llama" ? "LlamaForCausalLM" : "";
  const Json* architectures = reader.Find("architectures");
  const std::string found = architectures != nullptr ? architectures->dump()
                            : type != nullptr        ? absl::StrCat("model_type ", type->dump())
                                                     : "no model_type";
  // A folder may do without "architectures"; model_type then says enough.
  if (wanted.empty() || (architectures != nullptr && *architectures != Json::array({wanted}))) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", found,
                     (type != nullptr && architectures != nullptr) ? absl::StrCat(", model_type ", type->dump()) : "",
                     "; Stowage reads GPT2LMHeadModel (model_type gpt2) and LlamaForCausalLM (model_type llama)"));
  }
  reader.set_kind(kind);
  reader.Set("model.kind", kind, "model_type");
  if (kind == "gpt2") {
    ReadGpt2(reader);
  } else {
    ReadLlama(reader);
  }
  STOWAGE_RETURN_IF_ERROR(reader.status());
  return std::move(reader).Settings();
}

absl::StatusOr<std::vector<HfSetting>> ReadHfConfig(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/config.json");
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseHfConfig(text, path);
}

}  // namespace stowage
