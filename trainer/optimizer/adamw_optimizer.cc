#include "trainer/optimizer/adamw_optimizer.h"

#include "kernels/adamw.h"

namespace stowage {

void AdamWOptimizer::UpdatePiece(const Piece& piece, const UpdateScalars& scalars) const {
  kernels::AdamWOptions options;
  options.lr = piece.lr;
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.eps;
  options.weight_decay = piece.decay ? config_.weight_decay : 0.0;
  options.step = scalars.step;
  options.gradient_scale = scalars.gradient_scale;
  kernels::AdamW(piece.parameters, piece.gradients, piece.states[0], piece.states[1], piece.numel, options, piece.bf16);
}

}  // namespace stowage
