// What the loss's gradient is multiplied by before it flows back, so that small gradients stay above the smallest
// number of a narrow type; the update divides by it again. A mechanism of its own: any precision may have it.
//
//   none      1
//   fixed     train.loss_scale
//   dynamic   begins with train.loss_scale_start; halved when a step's gradients are not finite, doubled when
//             train.loss_scale_interval steps in a row were
//
// The two factors are powers of two, so a scale that begins as one stays one, and in fp32 and bf16 changes no bit of
// any gradient that neither over- nor underflows.
//
// Source: Micikevicius et al., "Mixed Precision Training", arXiv:1710.03740, section 3.2; the figures are those of
// torch.amp.GradScaler. All ranks are told the same, and so have the same scale. Torch-free; not thread-safe.
#ifndef STOWAGE_TRAINER_OPTIMIZER_LOSS_SCALER_H_
#define STOWAGE_TRAINER_OPTIMIZER_LOSS_SCALER_H_

#include <cstdint>

#include "trainer/config/config.h"

namespace stowage {

class LossScaler {
 public:
  static constexpr double kGrowth = 2.0;
  static constexpr double kBackoff = 0.5;
  // Beyond these the scale itself would be no normal number of fp32.
  static constexpr double kLeast = 0x1p-126;
  static constexpr double kMost = 0x1p126;

  explicit LossScaler(const TrainConfig& config);
  // Goes on where a saved run stood. A scale that is not dynamic is the config's, whatever was saved.
  void Restore(double scale, int64_t clean_steps);

  double scale() const { return scale_; }
  // Steps in a row with finite gradients since the scale was last changed. 0 unless dynamic.
  int64_t clean_steps() const { return clean_steps_; }
  bool dynamic() const { return dynamic_; }
  bool on() const { return on_; }

  // A step was skipped since its gradients were not finite.
  void Overflowed();
  // A step was updated.
  void Updated();

 private:
  const bool on_;
  const bool dynamic_;
  const int64_t interval_;
  double scale_;
  int64_t clean_steps_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_LOSS_SCALER_H_
