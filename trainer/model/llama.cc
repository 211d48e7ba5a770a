#include "trainer/model/llama.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/silu.h>

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/language_segments.h"
#include "trainer/model/ops/attention.h"
#include "trainer/model/residual_branch.h"

namespace stowage {
namespace {

// Packed rows qkv [n, t, (heads + 2 * kv_heads) * d] with queries and keys turned by position: pairs (i, i + d / 2) by
// the angle position * theta^(-2 i / d), computed in fp32.
at::Tensor Rotate(const at::Tensor& qkv, int64_t heads, int64_t kv_heads, double theta) {
  const int64_t n = qkv.size(0), t = qkv.size(1), d = qkv.size(2) / (heads + 2 * kv_heads), half = d / 2;
  const at::TensorOptions fp32 = qkv.options().dtype(at::kFloat);
  const at::Tensor frequencies = at::pow(theta, at::arange(half, fp32).mul(-1.0 / static_cast<double>(half)));
  const at::Tensor angles = at::outer(at::arange(t, fp32), frequencies).unsqueeze(1);  // [t, 1, half]
  const at::Tensor cos = angles.cos(), sin = angles.sin();
  const at::Tensor rows = qkv.view({n, t, heads + 2 * kv_heads, d});
  const at::Tensor turning = rows.narrow(2, 0, heads + kv_heads).to(at::kFloat);
  const at::Tensor a = turning.narrow(3, 0, half), b = turning.narrow(3, half, half);
  const at::Tensor turned = at::cat({a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))}, 3);
  return at::cat({turned.to(qkv.scalar_type()), rows.narrow(2, heads + kv_heads, kv_heads)}, 2).view(qkv.sizes());
}

// gate_up [n, t, 2 * ffn] -> silu(gate) * up [n, t, ffn].
at::Tensor SwiGlu(const at::Tensor& gate_up) {
  const int64_t ffn = gate_up.size(2) / 2;
  return at::silu(gate_up.narrow(2, 0, ffn)).mul(gate_up.narrow(2, ffn, ffn));
}

}  // namespace

absl::StatusOr<Model> MakeLlama(const ModelConfig& config) {
  STOWAGE_CHECK(config.ffn && config.vocabulary && config.kv_heads && config.tie) << "the config is not resolved";
  const int64_t width = config.width, heads = config.heads, kv_heads = *config.kv_heads, ffn = *config.ffn;
  const double theta = config.rope_theta;
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

  ops::AttentionOptions causal;
  causal.causal = true;
  causal.kind = ops::AttentionKindFrom(config.attention);
  const ResidualBranch::Options attention = {
      norm, /*bias=*/false, config.dropout, [heads, kv_heads, theta, causal](const at::Tensor& x) {
        return ops::SelfAttention(Rotate(x, heads, kv_heads, theta), heads, kv_heads, causal);
      }};
  const ResidualBranch::Options feed_forward = {norm, /*bias=*/false, config.dropout, SwiGlu};
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
