#include "trainer/model/mlp.h"

#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/group_builder.h"
#include "trainer/model/ops/activation.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/linear.h"
#include "trainer/model/sample_head.h"

namespace stowage {
namespace {

// dropout(relu(x W^T + b)). The first one takes the batch's inputs, flattened.
class HiddenLayer : public Segment {
 public:
  HiddenLayer(bool bias, double dropout) : bias_(bias), dropout_(dropout) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override {
    ParameterReader next(parameters);
    const Parameter &weight = next.Weight(), *bias = next.Bias(bias_);
    STOWAGE_CHECK(next.AtEnd()) << "hidden layer";
    const at::Tensor x = inputs.empty() ? InputsOf(context, weight).flatten(1) : inputs[0];
    const double dropout = context.mode == PassMode::kTrain ? dropout_ : 0.0;
    return {ops::Dropout(ops::Relu(ops::Linear(x, weight, bias)), dropout, context.random_key)};
  }

 private:
  const bool bias_;
  const double dropout_;
};

}  // namespace

absl::StatusOr<Model> MakeMlp(const ModelConfig& config) {
  if (!config.input || config.input->empty()) {
    return absl::InvalidArgumentError("model.input: model.kind mlp needs data whose samples are vectors or images");
  }
  Model model;
  int64_t in = 1;
  for (int64_t size : *config.input) in *= size;
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string name = absl::StrCat("layer.", i);
    const Init uniform = Init::Uniform(1.0 / std::sqrt(static_cast<double>(in)));
    std::vector<ParameterId> ids;
    GroupBuilder group(name, &model);
    group.Linear(name, config.width, in, uniform, config.bias, &ids, uniform);
    group.Build();
    model.segments.push_back({name, std::move(ids), std::make_unique<HiddenLayer>(config.bias, config.dropout)});
    in = config.width;
  }
  SampleHead::Options head;
  head.bias = config.bias;
  head.gather = [](const at::Tensor& x) { return x; };
  AddSampleHead(config, in, std::move(head), &model);
  return model;
}

}  // namespace stowage
