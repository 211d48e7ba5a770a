#include "trainer/optimizer/learning_rate.h"

#include <cmath>

#include "base/check.h"

namespace stowage {

double LearningRate(const OptimizerConfig& config, int64_t total_steps, int64_t step) {
  constexpr double kPi = 3.141592653589793;
  const ScheduleConfig& schedule = config.schedule;
  STOWAGE_CHECK(step >= 0) << "step " << step;
  const bool linear = schedule.kind == "linear";
  STOWAGE_CHECK(linear || schedule.kind == "cosine" || schedule.kind == "constant") << schedule.kind;
  if (step < schedule.warmup_steps) {
    return config.lr * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  }
  if (schedule.kind == "constant") return config.lr;
  if (step >= total_steps) return schedule.final_lr;
  const double x =
      static_cast<double>(step - schedule.warmup_steps) / static_cast<double>(total_steps - schedule.warmup_steps);
  const double share = linear ? 1.0 - x : 0.5 * (1.0 + std::cos(kPi * x));
  return schedule.final_lr + share * (config.lr - schedule.final_lr);
}

}  // namespace stowage
