#include "trainer/model/residual_branch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/linear.h"

namespace stowage {

std::vector<ParameterId> ResidualBranch::Declare(const std::string& name, const Options& options, const Sizes& sizes,
                                                 GroupBuilder* group) {
  std::vector<ParameterId> ids;
  AddNorm(options.norm, name + ".norm", sizes.width, group, &ids);
  group->Linear(absl::StrCat(name, ".", sizes.in), sizes.in_rows, sizes.width, sizes.in_init, options.bias, &ids);
  group->Linear(absl::StrCat(name, ".", sizes.out), sizes.width, sizes.out_columns, sizes.out_init, options.bias, &ids);
  return ids;
}

std::vector<at::Tensor> ResidualBranch::Forward(const std::vector<at::Tensor>& inputs,
                                                absl::Span<const Parameter> parameters,
                                                const SegmentContext& context) const {
  ParameterReader next(parameters);
  ops::NormAndResidual start = ApplyNormAndResidual(options_.norm, inputs[0], &next);
  const Parameter &in = next.Weight(), *in_bias = next.Bias(options_.bias);
  at::Tensor x = std::move(start.norm);  // without autograd nobody else holds it: it ends with the product
  x = ops::Linear(x, in, in_bias);
  x = options_.middle(x);
  const Parameter &out = next.Weight(), *out_bias = next.Bias(options_.bias);
  STOWAGE_CHECK(next.AtEnd()) << "residual branch";
  x = ops::Linear(x, out, out_bias);
  const double dropout = context.mode == PassMode::kTrain ? options_.dropout : 0.0;
  return {start.residual.add(ops::Dropout(x, dropout, context.random_key))};
}

}  // namespace stowage
