#include "trainer/model/llama.h"

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/language_segments.h"
#include "trainer/model/ops/activation.h"
#include "trainer/model/ops/attention.h"
#include "trainer/model/ops/rotary.h"
#include "trainer/model/residual_branch.h"

namespace stowage {
absl::StatusOr<Model> MakeLlama(const ModelConfig& config) {
  STOWAGE_CHECK(config.ffn && config.vocabulary && config.kv_heads && config.tie) << "the config is not resolved";
  const int64_t width = config.width, heads = config.heads, kv_heads = *config.kv_heads, ffn = *config.ffn;
  if (width % (2 * heads) != 0 || heads % kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model.heads: ", heads, " must divide model.width ", width,
                                                   " into an even number of elements, and be a multiple "
                                                   "of model.kv_heads ",
                                                   kv_heads));
  }
  const Init normal = Init::Normal(0.02);
  // As in GPT-2: two branches a layer add to the residual stream.
  const Init residual = Init::Normal(0.02 / std::sqrt(2.0 * static_cast<double>(config.layers)));
  const NormKind norm = NormKind::Rms(config.norm_eps);
  Model model;

  std::vector<ParameterId> embedding_ids;
  GroupBuilder embedding("embedding", &model);
  embedding.Add("embedding.token.weight", {*config.vocabulary, width}, normal, &embedding_ids);
  embedding.Build();
  model.segments.push_back(
      {"embedding", embedding_ids, std::make_unique<EmbeddingSegment>(/*positions=*/false, config.dropout)});

  // One for all layers.
  const auto rotary = std::make_shared<ops::RotaryTable>(config.context, width / heads, config.rope_theta);
  ops::AttentionOptions causal;
  causal.causal = true;
  causal.kind = ops::AttentionKindFrom(config.attention);
  const ResidualBranch::Options attention = {
      norm, /*bias=*/false, config.dropout, [heads, kv_heads, rotary, causal](const at::Tensor& x) {
        return ops::SelfAttention(ops::Rotary(x, heads, kv_heads, *rotary), heads, kv_heads, causal);
      }};
  const ResidualBranch::Options feed_forward = {norm, /*bias=*/false, config.dropout, ops::SwiGlu};
  const int64_t qkv_rows = (heads + 2 * kv_heads) * (width / heads);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("layer.", i), attn_name = layer + ".attn", ffn_name = layer + ".ffn";
    GroupBuilder group(layer, &model);
    std::vector<ParameterId> attention_ids =
        ResidualBranch::Declare(attn_name, attention, {width, "qkv", qkv_rows, normal, "out", width, residual}, &group);
    std::vector<ParameterId> feed_forward_ids = ResidualBranch::Declare(
        ffn_name, feed_forward, {width, "gate_up", 2 * ffn, normal, "down", ffn, residual}, &group);
    group.Build();
    model.segments.push_back({attn_name, std::move(attention_ids), std::make_unique<ResidualBranch>(attention)});
    model.segments.push_back({ffn_name, std::move(feed_forward_ids), std::make_unique<ResidualBranch>(feed_forward)});
  }

  AddLanguageHead(norm, *config.vocabulary, width, normal,
                  *config.tie ? std::optional<ParameterId>(embedding_ids[0]) : std::nullopt, &model);
  return model;
}

}  // namespace stowage
