#include "trainer/optimizer/adamw_optimizer.h"

#include "kernels/adamw.h"

namespace stowage {

void AdamWOptimizer::UpdatePiece(float* parameters, const float* gradients, absl::Span<float* const> states,
                                 int64_t numel, double lr, bool decay, const UpdateScalars& scalars) const {
  kernels::AdamWOptions options;
  options.lr = lr;
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.eps;
  options.weight_decay = decay ? config_.weight_decay : 0.0;
  options.step = scalars.step;
  options.gradient_scale = scalars.gradient_scale;
  kernels::AdamW(parameters, gradients, states[0], states[1], numel, options);
}

}  // namespace stowage
