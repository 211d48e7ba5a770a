#include "trainer/model/ops/norm.h"

#include <ATen/ops/layer_norm.h>

namespace stowage::ops {

at::Tensor LayerNorm(const at::Tensor& x, const Parameter& weight, const Parameter* bias) {
  return at::layer_norm(x, {x.size(-1)}, weight.value,
                        bias ? std::optional<at::Tensor>(bias->value) : std::nullopt, kLayerNormEps,
                        /*cudnn_enable=*/false);
}

}  // namespace stowage::ops
