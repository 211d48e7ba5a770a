// SGD with momentum over kernels/adamw.h, as torch.optim.SGD. State: momentum_buffer, or none if momentum is 0.
#ifndef STOWAGE_TRAINER_OPTIMIZER_SGD_OPTIMIZER_H_
#define STOWAGE_TRAINER_OPTIMIZER_SGD_OPTIMIZER_H_

#include <string>
#include <vector>

#include "trainer/optimizer/optimizer.h"

namespace stowage {

class SgdOptimizer final : public Optimizer {
 public:
  // Uses momentum and weight_decay.
  explicit SgdOptimizer(const OptimizerConfig& config);

  const std::vector<std::string>& state_tensors() const override { return state_tensors_; }

 private:
  void UpdatePiece(const Piece& piece, const UpdateScalars& scalars) const override;

  const OptimizerConfig config_;
  const std::vector<std::string> state_tensors_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_SGD_OPTIMIZER_H_
