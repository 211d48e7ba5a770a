#include "trainer/optimizer/loss_scaler.h"

namespace stowage {
namespace {

double FirstScale(const TrainConfig& config) {
  switch (config.loss_scale.kind) {
    case LossScaleValue::Kind::kNone:
      return 1.0;
    case LossScaleValue::Kind::kFixed:
      return config.loss_scale.fixed;
    case LossScaleValue::Kind::kDynamic:
      return config.loss_scale_start;
  }
  return 1.0;
}

}  // namespace

LossScaler::LossScaler(const TrainConfig& config)
    : on_(config.loss_scale.kind != LossScaleValue::Kind::kNone),
      dynamic_(config.loss_scale.kind == LossScaleValue::Kind::kDynamic),
      interval_(config.loss_scale_interval),
      scale_(FirstScale(config)) {}

void LossScaler::Restore(double scale, int64_t clean_steps) {
  if (!dynamic_) return;
  scale_ = scale;
  clean_steps_ = clean_steps;
}

void LossScaler::Overflowed() {
  if (!dynamic_) return;
  if (scale_ * kBackoff >= kLeast) scale_ *= kBackoff;
  clean_steps_ = 0;
}

void LossScaler::Updated() {
  if (!dynamic_ || ++clean_steps_ < interval_) return;
  if (scale_ * kGrowth <= kMost) scale_ *= kGrowth;
  clean_steps_ = 0;
}

}  // namespace stowage
