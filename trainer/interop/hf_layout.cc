#include "trainer/interop/hf_layout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace stowage {
namespace {

class LayoutBuilder {
 public:
  void Matrix(std::string name, std::string ours, int64_t rows, int64_t columns) {
    tensors_.push_back({std::move(name), {rows, columns}, std::move(ours), {rows, columns}, 0, rows, columns});
  }
  void Vector(std::string name, std::string ours, int64_t numel) {
    tensors_.push_back({std::move(name), {numel}, std::move(ours), {numel}, 0, numel, 1});
  }
  // [in, out] there; zeros stand for a bias that we do not have.
  void Conv1d(const std::string& name, const std::string& ours, int64_t out, int64_t in, bool bias) {
    tensors_.push_back({name + ".weight", {in, out}, ours + ".weight", {out, in}, 0, out, in, /*transposed=*/true});
    Bias(name, ours, out, bias);
  }
  void Norm(const std::string& name, const std::string& ours, int64_t width, bool bias) {
    Vector(name + ".weight", ours + ".weight", width);
    Bias(name, ours, width, bias);
  }
  // Rows [first, first + rows) of a matrix of ours that has `all` rows.
  void Rows(std::string name, std::string ours, int64_t all, int64_t first, int64_t rows, int64_t columns) {
    tensors_.push_back({std::move(name), {rows, columns}, std::move(ours), {all, columns}, first, rows, columns});
  }
  std::vector<HfTensor> Build() && { return std::move(tensors_); }

 private:
  void Bias(const std::string& name, const std::string& ours, int64_t numel, bool bias) {
    Vector(name + ".bias", bias ? ours + ".bias" : "", numel);
  }
  std::vector<HfTensor> tensors_;
};

std::vector<HfTensor> Gpt2Layout(const ModelConfig& config) {
  const int64_t width = config.width, ffn = *config.ffn, vocabulary = *config.vocabulary;
  const bool norm_bias = config.norm_bias.value_or(config.bias);
  LayoutBuilder build;
  build.Matrix("transformer.wte.weight", "embedding.token.weight", vocabulary, width);
  build.Matrix("transformer.wpe.weight", "embedding.position.weight", config.context, width);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string there = absl::StrCat("transformer.h.", i), here = absl::StrCat("layer.", i);
    build.Norm(there + ".ln_1", here + ".attn.norm", width, norm_bias);
    build.Conv1d(there + ".attn.c_attn", here + ".attn.qkv", 3 * width, width, config.bias);
    build.Conv1d(there + ".attn.c_proj", here + ".attn.out", width, width, config.bias);
    build.Norm(there + ".ln_2", here + ".ffn.norm", width, norm_bias);
    build.Conv1d(there + ".mlp.c_fc", here + ".ffn.up", ffn, width, config.bias);
    build.Conv1d(there + ".mlp.c_proj", here + ".ffn.down", width, ffn, config.bias);
  }
  build.Norm("transformer.ln_f", "head.norm", width, norm_bias);
  if (!*config.tie) build.Matrix("lm_head.weight", "head.weight", vocabulary, width);
  return std::move(build).Build();
}

std::vector<HfTensor> LlamaLayout(const ModelConfig& config) {
  const int64_t width = config.width, ffn = *config.ffn, vocabulary = *config.vocabulary;
  const int64_t keys = width / config.heads * config.kv_heads.value_or(config.heads), packed = width + 2 * keys;
  LayoutBuilder build;
  build.Matrix("model.embed_tokens.weight", "embedding.token.weight", vocabulary, width);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string there = absl::StrCat("model.layers.", i), here = absl::StrCat("layer.", i);
    const std::string qkv = here + ".attn.qkv.weight", gate_up = here + ".ffn.gate_up.weight";
    build.Vector(there + ".input_layernorm.weight", here + ".attn.norm.weight", width);
    build.Rows(there + ".self_attn.q_proj.weight", qkv, packed, 0, width, width);
    build.Rows(there + ".self_attn.k_proj.weight", qkv, packed, width, keys, width);
    build.Rows(there + ".self_attn.v_proj.weight", qkv, packed, width + keys, keys, width);
    build.Matrix(there + ".self_attn.o_proj.weight", here + ".attn.out.weight", width, width);
    build.Vector(there + ".post_attention_layernorm.weight", here + ".ffn.norm.weight", width);
    build.Rows(there + ".mlp.gate_proj.weight", gate_up, 2 * ffn, 0, ffn, width);
    build.Rows(there + ".mlp.up_proj.weight", gate_up, 2 * ffn, ffn, ffn, width);
    build.Matrix(there + ".mlp.down_proj.weight", here + ".ffn.down.weight", width, ffn);
  }
  build.Vector("model.norm.weight", "head.norm.weight", width);
  if (!*config.tie) build.Matrix("lm_head.weight", "head.weight", vocabulary, width);
  return std::move(build).Build();
}

}  // namespace

absl::StatusOr<std::vector<HfTensor>> HfLayout(const ModelConfig& config) {
  STOWAGE_CHECK(config.vocabulary && config.ffn && config.tie) << "the config is not resolved";
  if (config.kind == "gpt2") return Gpt2Layout(config);
  if (config.kind == "llama") return LlamaLayout(config);
  return absl::UnimplementedError(absl::StrCat(
      "model.kind: ", config.kind, " has no counterpart in Hugging Face's transformers; gpt2 and llama have"));
}

}  // namespace stowage
