// AdamW over kernels/adamw.h, as torch.optim.AdamW. State: exp_avg, exp_avg_sq.
#ifndef STOWAGE_TRAINER_OPTIMIZER_ADAMW_OPTIMIZER_H_
#define STOWAGE_TRAINER_OPTIMIZER_ADAMW_OPTIMIZER_H_

#include <string>
#include <vector>

#include "trainer/optimizer/optimizer.h"

namespace stowage {

class AdamWOptimizer final : public Optimizer {
 public:
  // Uses beta1, beta2, eps and weight_decay.
  explicit AdamWOptimizer(const OptimizerConfig& config) : config_(config) {}

  const std::vector<std::string>& state_tensors() const override { return state_tensors_; }

 private:
  void UpdatePiece(const Piece& piece, const UpdateScalars& scalars) const override;

  const OptimizerConfig config_;
  const std::vector<std::string> state_tensors_ = {"exp_avg", "exp_avg_sq"};
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_ADAMW_OPTIMIZER_H_
