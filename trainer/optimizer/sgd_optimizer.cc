#include "trainer/optimizer/sgd_optimizer.h"

#include "kernels/adamw.h"

namespace stowage {

SgdOptimizer::SgdOptimizer(const OptimizerConfig& config)
    : config_(config),
      state_tensors_(config.momentum == 0.0 ? std::vector<std::string>{}
                                            : std::vector<std::string>{"momentum_buffer"}) {}

void SgdOptimizer::UpdatePiece(float* parameters, const float* gradients, absl::Span<float* const> states,
                               int64_t numel, double lr, bool decay, const UpdateScalars& scalars) const {
  kernels::SgdOptions options;
  options.lr = lr;
  options.momentum = config_.momentum;
  options.weight_decay = decay ? config_.weight_decay : 0.0;
  options.step = scalars.step;
  options.gradient_scale = scalars.gradient_scale;
  kernels::Sgd(parameters, gradients, states.empty() ? nullptr : states[0], numel, options);
}

}  // namespace stowage
