#include "trainer/model/gpt2.h"

#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/language_segments.h"
#include "trainer/model/ops/activation.h"
#include "trainer/model/ops/attention.h"
#include "trainer/model/residual_branch.h"

namespace stowage {

absl::StatusOr<Model> MakeGpt2(const ModelConfig& config) {
  STOWAGE_CHECK(config.ffn && config.vocabulary) << "the config is not resolved";
  const int64_t width = config.width, heads = config.heads;
  const Init normal = Init::Normal(0.02);
  // Two branches a layer add to the residual stream; without this its variance grows with depth (GPT-2, section 2.3).
  const Init residual = Init::Normal(0.02 / std::sqrt(2.0 * static_cast<double>(config.layers)));
  const NormKind norm = NormKind::Layer(config.norm_bias.value_or(config.bias));
  Model model;

  std::vector<ParameterId> embedding_ids;
  GroupBuilder embedding("embedding", &model);
  embedding.Add("embedding.token.weight", {*config.vocabulary, width}, normal, &embedding_ids);
  embedding.Add("embedding.position.weight", {config.context, width}, normal, &embedding_ids);
  embedding.Build();
  model.segments.push_back(
      {"embedding", embedding_ids, std::make_unique<EmbeddingSegment>(/*positions=*/true, config.dropout)});

  ops::AttentionOptions causal;
  causal.causal = true;
  causal.kind = ops::AttentionKindFrom(config.attention);
  const ResidualBranch::Options attention = {norm, config.bias, config.dropout, [heads, causal](const at::Tensor& x) {
                                               return ops::SelfAttention(x, heads, /*kv_heads=*/heads, causal);
                                             }};
  const ResidualBranch::Options feed_forward = {norm, config.bias, config.dropout,
                                                [](const at::Tensor& x) { return ops::Gelu(x, ops::GeluKind::kTanh); }};
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("layer.", i), attn = layer + ".attn", ffn = layer + ".ffn";
    GroupBuilder group(layer, &model);
    std::vector<ParameterId> attention_ids =
        ResidualBranch::Declare(attn, attention, {width, "qkv", 3 * width, normal, "out", width, residual}, &group);
    std::vector<ParameterId> feed_forward_ids = ResidualBranch::Declare(
        ffn, feed_forward, {width, "up", *config.ffn, normal, "down", *config.ffn, residual}, &group);
    group.Build();
    model.segments.push_back({attn, std::move(attention_ids), std::make_unique<ResidualBranch>(attention)});
    model.segments.push_back({ffn, std::move(feed_forward_ids), std::make_unique<ResidualBranch>(feed_forward)});
  }

  AddLanguageHead(norm, *config.vocabulary, width, normal,
                  config.tie.value_or(true) ? std::optional<ParameterId>(embedding_ids[0]) : std::nullopt, &model);
  return model;
}

}  // namespace stowage
