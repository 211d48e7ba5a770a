// Which normalisation a transformer uses, declared and applied in one place.
#ifndef STOWAGE_TRAINER_MODEL_NORM_KIND_H_
#define STOWAGE_TRAINER_MODEL_NORM_KIND_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/model/group_builder.h"
#include "trainer/model/ops/norm.h"

namespace stowage {

struct NormKind {
  bool rms = false;   // RMSNorm, which has no bias; else LayerNorm
  bool bias = true;   // LayerNorm
  double eps = 1e-5;  // RMSNorm; LayerNorm's is ops::kLayerNormEps

  static NormKind Layer(bool bias) { return {false, bias}; }
  static NormKind Rms(double eps) { return {true, false, eps}; }
};

inline void AddNorm(const NormKind& kind, const std::string& name, int64_t width, GroupBuilder* group,
                    std::vector<ParameterId>* ids) {
  group->Norm(name, width, kind.bias, ids);
}

// x [..., width] -> x's shape and dtype.
inline at::Tensor ApplyNorm(const NormKind& kind, const at::Tensor& x, ParameterReader* next) {
  const Parameter& weight = next->Weight();
  const Parameter* bias = next->Bias(kind.bias);
  return kind.rms ? ops::RmsNorm(x, weight, kind.eps) : ops::LayerNorm(x, weight, bias);
}

// The same, and x itself as it goes around a branch (ops/norm.h).
inline ops::NormAndResidual ApplyNormAndResidual(const NormKind& kind, const at::Tensor& x, ParameterReader* next) {
  const Parameter& weight = next->Weight();
  const Parameter* bias = next->Bias(kind.bias);
  return kind.rms ? ops::RmsNormAndResidual(x, weight, kind.eps) : ops::LayerNormAndResidual(x, weight, bias);
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_NORM_KIND_H_
