#include "trainer/model/rnn.h"

#include <ATen/ops/gru.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "trainer/model/group_builder.h"
#include "trainer/model/language_segments.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/sample_head.h"

namespace stowage {
namespace {

// [n, t, in] -> [n, t, width]. The first layer over vectors takes the batch's inputs.
class RecurrentLayer : public Segment {
 public:
  RecurrentLayer(const ModelConfig& config) : lstm_(config.cell == "lstm"), config_(config) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override {
    STOWAGE_CHECK(parameters.size() == (config_.bias ? 4u : 2u)) << "recurrent layer";
    const at::Tensor x = inputs.empty() ? InputsOf(context, parameters[0]) : inputs[0];
    std::vector<at::Tensor> weights;
    for (const Parameter& p : parameters) weights.push_back(p.value);
    const at::Tensor start = at::zeros({1, x.size(0), config_.width}, x.options());
    // `train` only turns the library's own dropout on, which is 0 here; with gradients off it may plan for inference.
    const bool train = context.mode == PassMode::kTrain;
    at::Tensor y;
    if (lstm_) {
      y = std::get<0>(at::lstm(x, {start, start}, weights, config_.bias, /*num_layers=*/1, /*dropout=*/0.0, train,
                               /*bidirectional=*/false, /*batch_first=*/true));
    } else {
      y = std::get<0>(at::gru(x, start, weights, config_.bias, /*num_layers=*/1, /*dropout=*/0.0, train,
                              /*bidirectional=*/false, /*batch_first=*/true));
    }
    return {ops::Dropout(y, train ? config_.dropout : 0.0, context.random_key)};
  }

 private:
  const bool lstm_;
  const ModelConfig config_;
};

}  // namespace

absl::StatusOr<Model> MakeRnn(const ModelConfig& config) {
  const int64_t width = config.width;
  const Init uniform = Init::Uniform(1.0 / std::sqrt(static_cast<double>(width)));
  const bool tokens = !config.input.has_value();
  const bool tie = tokens && config.tie.value_or(false);
  Model model;
  std::optional<ParameterId> tied;
  int64_t in = width;
  if (tokens) {
    STOWAGE_CHECK(config.vocabulary.has_value()) << "the config is not resolved";
    std::vector<ParameterId> ids;
    GroupBuilder embedding("embedding", &model);
    embedding.Add("embedding.token.weight", {*config.vocabulary, width}, tie ? uniform : Init::Normal(1.0), &ids);
    embedding.Build();
    if (tie) tied = ids[0];
    model.segments.push_back(
        {"embedding", std::move(ids), std::make_unique<EmbeddingSegment>(/*positions=*/false, config.dropout)});
  } else {
    if (config.input->size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("model.input: model.kind rnn needs tokens or sequences of vectors [time, features], a sample of "
                       "the data is [",
                       absl::StrJoin(*config.input, ", "), "]"));
    }
    in = (*config.input)[1];
  }

  const int64_t rows = (config.cell == "lstm" ? 4 : 3) * width;
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string name = absl::StrCat("layer.", i);
    std::vector<ParameterId> ids;
    GroupBuilder group(name, &model);
    group.Add(name + ".weight_ih", {rows, i == 0 ? in : width}, uniform, &ids);
    group.Add(name + ".weight_hh", {rows, width}, uniform, &ids);
    if (config.bias) {
      group.Add(name + ".bias_ih", {rows}, uniform, &ids);
      group.Add(name + ".bias_hh", {rows}, uniform, &ids);
    }
    group.Build();
    model.segments.push_back({name, std::move(ids), std::make_unique<RecurrentLayer>(config)});
  }

  if (tokens) {
    AddLanguageHead(std::nullopt, *config.vocabulary, width, uniform, tied, &model);
  } else {
    SampleHead::Options head;
    head.bias = config.bias;
    head.gather = [](const at::Tensor& x) { return x.select(1, x.size(1) - 1); };
    AddSampleHead(config, width, std::move(head), &model);
  }
  return model;
}

}  // namespace stowage
