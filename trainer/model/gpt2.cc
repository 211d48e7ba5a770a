#include "trainer/model/gpt2.h"

#include <cmath>
#include <utility>

#include <ATen/ops/gelu.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/ops/attention.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/embedding.h"
#include "trainer/model/ops/language_head.h"
#include "trainer/model/ops/linear.h"
#include "trainer/model/ops/norm.h"

namespace stowage {
namespace {

using Tensors = std::vector<at::Tensor>;
using Parameters = absl::Span<const Parameter>;

// Hands out a segment's parameters in the order in which they were declared: weight, and bias where the model has
// biases.
class Reader {
 public:
  Reader(Parameters parameters, bool bias) : parameters_(parameters), bias_(bias) {}
  const Parameter& Weight() { return parameters_[next_++]; }
  const Parameter* Bias() { return bias_ ? &parameters_[next_++] : nullptr; }
  bool AtEnd() const { return next_ == parameters_.size(); }

 private:
  Parameters parameters_;
  bool bias_;
  size_t next_ = 0;
};

double DropoutOf(const ModelConfig& config, const SegmentContext& context) {
  return context.mode == PassMode::kTrain ? config.dropout : 0.0;
}

class EmbeddingSegment : public Segment {
 public:
  explicit EmbeddingSegment(ModelConfig config) : config_(std::move(config)) {}
  Tensors Forward(const Tensors&, Parameters parameters, const SegmentContext& context) const override {
    const at::Tensor x = ops::Embedding(context.batch->at("tokens"), parameters[0], parameters[1]);
    return {ops::Dropout(x, DropoutOf(config_, context), context.random_key)};
  }

 private:
  ModelConfig config_;
};

class AttentionSegment : public Segment {
 public:
  explicit AttentionSegment(ModelConfig config) : config_(std::move(config)) {}
  Tensors Forward(const Tensors& inputs, Parameters parameters, const SegmentContext& context) const override {
    Reader next(parameters, config_.bias);
    const Parameter &norm = next.Weight(), *norm_bias = next.Bias();
    const Parameter &qkv = next.Weight(), *qkv_bias = next.Bias();
    const Parameter &out = next.Weight(), *out_bias = next.Bias();
    STOWAGE_CHECK(next.AtEnd()) << "attention segment";
    at::Tensor x = ops::Linear(ops::LayerNorm(inputs[0], norm, norm_bias), qkv, qkv_bias);
    x = ops::Linear(ops::CausalAttention(x, config_.heads), out, out_bias);
    return {inputs[0].add(ops::Dropout(x, DropoutOf(config_, context), context.random_key))};
  }

 private:
  ModelConfig config_;
};

class FeedForwardSegment : public Segment {
 public:
  explicit FeedForwardSegment(ModelConfig config) : config_(std::move(config)) {}
  Tensors Forward(const Tensors& inputs, Parameters parameters, const SegmentContext& context) const override {
    Reader next(parameters, config_.bias);
    const Parameter &norm = next.Weight(), *norm_bias = next.Bias();
    const Parameter &up = next.Weight(), *up_bias = next.Bias();
    const Parameter &down = next.Weight(), *down_bias = next.Bias();
    STOWAGE_CHECK(next.AtEnd()) << "feed-forward segment";
    at::Tensor x = ops::Linear(ops::LayerNorm(inputs[0], norm, norm_bias), up, up_bias);
    x = ops::Linear(at::gelu(x, "tanh"), down, down_bias);
    return {inputs[0].add(ops::Dropout(x, DropoutOf(config_, context), context.random_key))};
  }

 private:
  ModelConfig config_;
};

class HeadSegment : public Segment {
 public:
  explicit HeadSegment(ModelConfig config) : config_(std::move(config)) {}
  Tensors Forward(const Tensors& inputs, Parameters parameters, const SegmentContext& context) const override {
    Reader next(parameters, config_.bias);
    const Parameter &norm = next.Weight(), *norm_bias = next.Bias();
    const Parameter& weight = next.Weight();
    STOWAGE_CHECK(next.AtEnd()) << "head segment";
    const at::Tensor x = ops::LayerNorm(inputs[0], norm, norm_bias);
    if (context.mode == PassMode::kPredict) return {ops::Linear(x, weight, nullptr)};
    return {ops::LanguageLoss(x, weight, context.batch->at("targets"))};
  }

 private:
  ModelConfig config_;
};

// Collects a group's parameters and the ids by which a segment finds them.
class GroupBuilder {
 public:
  GroupBuilder(std::string name, int group, bool bias) : group_(group), bias_(bias) { spec_.name = std::move(name); }

  void Weight(std::string name, std::vector<int64_t> shape, Init init, std::vector<ParameterId>* ids) {
    if (ids) ids->push_back({group_, static_cast<int>(spec_.parameters.size())});
    spec_.parameters.push_back({std::move(name), std::move(shape), init});
  }
  // "<name>.weight", and "<name>.bias" where the model has biases.
  void Linear(const std::string& name, int64_t out, int64_t in, Init init, std::vector<ParameterId>* ids) {
    Weight(absl::StrCat(name, ".weight"), {out, in}, init, ids);
    if (bias_) Weight(absl::StrCat(name, ".bias"), {out}, Init::Zeros(), ids);
  }
  void Norm(const std::string& name, int64_t width, std::vector<ParameterId>* ids) {
    Weight(absl::StrCat(name, ".weight"), {width}, Init::Ones(), ids);
    if (bias_) Weight(absl::StrCat(name, ".bias"), {width}, Init::Zeros(), ids);
  }
  GroupSpec Build() { return std::move(spec_); }

 private:
  GroupSpec spec_;
  int group_;
  bool bias_;
};

}  // namespace

absl::StatusOr<Model> MakeGpt2(const ModelConfig& config) {
  STOWAGE_CHECK(config.ffn && config.vocabulary) << "the config is not resolved";
  const int64_t width = config.width;
  const Init normal = Init::Normal(0.02);
  // Two branches a layer add to the residual stream; without this its variance grows with depth (GPT-2, section 2.3).
  const Init residual = Init::Normal(0.02 / std::sqrt(2.0 * static_cast<double>(config.layers)));
  Model model;

  std::vector<ParameterId> embedding_ids;
  GroupBuilder embedding("embedding", 0, config.bias);
  embedding.Weight("embedding.token.weight", {*config.vocabulary, width}, normal, &embedding_ids);
  embedding.Weight("embedding.position.weight", {config.context, width}, normal, &embedding_ids);
  model.groups.push_back(embedding.Build());
  model.segments.push_back({"embedding", embedding_ids, std::make_unique<EmbeddingSegment>(config)});

  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("layer.", i);
    GroupBuilder group(layer, static_cast<int>(model.groups.size()), config.bias);
    std::vector<ParameterId> attention, feed_forward;
    group.Norm(layer + ".attn.norm", width, &attention);
    group.Linear(layer + ".attn.qkv", 3 * width, width, normal, &attention);
    group.Linear(layer + ".attn.out", width, width, residual, &attention);
    group.Norm(layer + ".ffn.norm", width, &feed_forward);
    group.Linear(layer + ".ffn.up", *config.ffn, width, normal, &feed_forward);
    group.Linear(layer + ".ffn.down", width, *config.ffn, residual, &feed_forward);
    model.groups.push_back(group.Build());
    model.segments.push_back({layer + ".attn", attention, std::make_unique<AttentionSegment>(config)});
    model.segments.push_back({layer + ".ffn", feed_forward, std::make_unique<FeedForwardSegment>(config)});
  }

  std::vector<ParameterId> head_ids;
  GroupBuilder head("head", static_cast<int>(model.groups.size()), config.bias);
  head.Norm("head.norm", width, &head_ids);
  if (config.tie) {
    head_ids.push_back(embedding_ids[0]);
  } else {
    head.Weight("head.weight", {*config.vocabulary, width}, normal, &head_ids);
  }
  model.groups.push_back(head.Build());
  model.segments.push_back({"head", head_ids, std::make_unique<HeadSegment>(config)});
  return model;
}

}  // namespace stowage
