#include "trainer/model/sample_head.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/sum.h>

#include <cmath>
#include <memory>

#include "base/check.h"
#include "trainer/model/group_builder.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/linear.h"

namespace stowage {

std::vector<at::Tensor> SampleHead::Forward(const std::vector<at::Tensor>& inputs,
                                            absl::Span<const Parameter> parameters,
                                            const SegmentContext& context) const {
  ParameterReader next(parameters);
  const Parameter &weight = next.Weight(), *bias = next.Bias(options_.bias);
  STOWAGE_CHECK(next.AtEnd()) << "sample head";
  const double dropout = context.mode == PassMode::kTrain ? options_.dropout : 0.0;
  const at::Tensor x = ops::Dropout(options_.gather(inputs[0]), dropout, context.random_key);
  const at::Tensor scores = ops::Linear(x, weight, bias).to(at::kFloat);
  if (context.mode == PassMode::kPredict) return {scores};

  const at::Tensor& targets = context.batch->at("targets");
  if (!options_.classes) {
    const double outputs = static_cast<double>(scores.size(1));
    return {at::mse_loss(scores, targets, at::Reduction::Sum).div(outputs)};
  }
  std::vector<at::Tensor> result = {at::cross_entropy_loss(scores, targets, {}, at::Reduction::Sum)};
  if (context.mode == PassMode::kEvaluate) result.push_back(scores.argmax(1).eq(targets).sum());
  return result;
}

void AddSampleHead(const ModelConfig& config, int64_t in, SampleHead::Options options, Model* model) {
  STOWAGE_CHECK(config.outputs && config.loss != "auto") << "the config is not resolved";
  options.classes = config.loss == "cross_entropy";
  const Init uniform = Init::Uniform(1.0 / std::sqrt(static_cast<double>(in)));
  std::vector<ParameterId> ids;
  GroupBuilder group("head", model);
  group.Linear("head", *config.outputs, in, uniform, options.bias, &ids, uniform);
  group.Build();
  model->segments.push_back({"head", ids, std::make_unique<SampleHead>(std::move(options))});
}

at::Tensor InputsOf(const SegmentContext& context, const Parameter& like) {
  return context.batch->at("inputs").to(like.value.scalar_type());
}

}  // namespace stowage
