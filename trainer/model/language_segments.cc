#include "trainer/model/language_segments.h"

#include <memory>
#include <utility>

#include "base/check.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/embedding.h"
#include "trainer/model/ops/language_head.h"

namespace stowage {

std::vector<at::Tensor> EmbeddingSegment::Forward(const std::vector<at::Tensor>&,
                                                  absl::Span<const Parameter> parameters,
                                                  const SegmentContext& context) const {
  STOWAGE_CHECK(parameters.size() == (positions_ ? 2u : 1u)) << "embedding segment";
  const at::Tensor x = ops::Embedding(context.batch->at("tokens"), parameters[0], positions_ ? &parameters[1] : nullptr,
                                      context.compute);
  return {ops::Dropout(x, context.mode == PassMode::kTrain ? dropout_ : 0.0, context.random_key)};
}

std::vector<at::Tensor> LanguageHead::Forward(const std::vector<at::Tensor>& inputs,
                                              absl::Span<const Parameter> parameters,
                                              const SegmentContext& context) const {
  ParameterReader next(parameters);
  const at::Tensor x = norm_ ? ApplyNorm(*norm_, inputs[0], &next) : inputs[0];
  const Parameter& weight = next.Weight();
  STOWAGE_CHECK(next.AtEnd()) << "language head";
  if (context.mode == PassMode::kPredict) return {ops::Logits(x, weight.value)};
  return {ops::LanguageLoss(x, weight, context.batch->at("targets"), context.loss_scale)};
}

void AddLanguageHead(const std::optional<NormKind>& norm, int64_t vocabulary, int64_t width, Init init,
                     const std::optional<ParameterId>& tied, Model* model) {
  std::vector<ParameterId> ids;
  GroupBuilder group("head", model);
  if (norm) AddNorm(*norm, "head.norm", width, &group, &ids);
  if (tied) {
    ids.push_back(*tied);
  } else {
    group.Add("head.weight", {vocabulary, width}, init, &ids);
  }
  if (norm || !tied) group.Build();  // a group without parameters has nothing to gather or reduce
  model->segments.push_back({"head", ids, std::make_unique<LanguageHead>(norm)});
}

}  // namespace stowage
