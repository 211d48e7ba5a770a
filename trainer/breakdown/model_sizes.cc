#include "trainer/breakdown/model_sizes.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace stowage {

bool HasSizes(const std::string& kind) { return kind == "gpt2" || kind == "llama"; }

absl::StatusOr<ModelSizes> SizesOf(const Config& resolved) {
  const ModelConfig& model = resolved.model;
  if (!HasSizes(model.kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.kind: there is no formula for ", model.kind, ", only for gpt2 and llama"));
  }
  const bool whole = model.ffn && model.vocabulary && model.tie &&
                     (model.kind == "llama" ? model.kv_heads.has_value() : model.norm_bias.has_value());
  if (!whole) {
    return absl::InvalidArgumentError(
        "model: a size is still auto, so nothing can be computed from it; resolve the config with its data first");
  }
  ModelSizes sizes;
  sizes.kind = model.kind;
  sizes.layers = model.layers;
  sizes.width = model.width;
  sizes.heads = model.heads;
  sizes.kv_heads = model.kv_heads.value_or(model.heads);
  sizes.ffn = *model.ffn;
  sizes.vocabulary = *model.vocabulary;
  sizes.context = model.context;
  sizes.tied = *model.tie;
  sizes.bias = !sizes.llama() && model.bias;
  sizes.norm_bias = !sizes.llama() && model.norm_bias.value_or(model.bias);
  return sizes;
}

ParameterCounts CountParameters(const ModelSizes& sizes) {
  const int64_t width = sizes.width, norm = sizes.norm_bias ? 2 * width : width;
  int64_t linear = sizes.qkv_rows() * width + width * width + sizes.up_rows() * width + width * sizes.ffn;
  if (sizes.bias) linear += sizes.qkv_rows() + width + sizes.up_rows() + width;
  ParameterCounts counts;
  counts.embedding = sizes.vocabulary * width;
  counts.positions = sizes.llama() ? 0 : sizes.context * width;
  counts.linear = sizes.layers * linear;
  counts.layer_norms = sizes.layers * 2 * norm;
  counts.head_norm = norm;
  counts.head = sizes.tied ? 0 : sizes.vocabulary * width;
  return counts;
}

}  // namespace stowage
