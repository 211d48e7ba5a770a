#include "trainer/optimizer/sgd_optimizer.h"

#include "kernels/adamw.h"
#include "kernels/cast.h"

namespace stowage {

SgdOptimizer::SgdOptimizer(const OptimizerConfig& config)
    : config_(config),
      state_tensors_(config.momentum == 0.0 ? std::vector<std::string>{}
                                            : std::vector<std::string>{"momentum_buffer"}) {}

void SgdOptimizer::UpdatePiece(const Piece& piece, const UpdateScalars& scalars) const {
  kernels::SgdOptions options;
  options.lr = piece.lr;
  options.momentum = config_.momentum;
  options.weight_decay = piece.decay ? config_.weight_decay : 0.0;
  options.step = scalars.step;
  options.gradient_scale = scalars.gradient_scale;
  kernels::Sgd(piece.parameters, piece.gradients, piece.states.empty() ? nullptr : piece.states[0], piece.numel,
               options);
  // A pass of its own, unlike AdamW's.
  if (piece.bf16 != nullptr) kernels::CastFp32ToBf16(piece.parameters, piece.bf16, piece.numel);
}

}  // namespace stowage
