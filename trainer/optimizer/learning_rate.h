// The learning rate of each step: linear warm-up, then cosine, linear or constant.
//
// With s the step (0 for the first), w = schedule.warmup_steps, T = total_steps, f = schedule.final_lr:
//
//   s < w:                   lr * (s + 1) / w
//   s >= T:                  f (constant: lr)
//   else, x = (s - w) / (T - w), in [0, 1):
//     constant               lr
//     linear                 f + (1 - x) * (lr - f)
//     cosine                 f + 0.5 * (1 + cos(pi * x)) * (lr - f)
//
// So the whole rate is reached in the last step of the warm-up and again in the step after it, and the final rate
// would be that of step T, the first one not taken. This is llm.c's schedule (llmc/schedulers.h); nanoGPT's differs
// from it by dividing its warm-up by w + 1.
#ifndef STOWAGE_TRAINER_OPTIMIZER_LEARNING_RATE_H_
#define STOWAGE_TRAINER_OPTIMIZER_LEARNING_RATE_H_

#include <cstdint>

#include "trainer/config/config.h"

namespace stowage {

// `step` >= 0; in fp64. A schedule kind that is none of the three is a bug: MakeOptimizer() refuses it. Thread-safe.
double LearningRate(const OptimizerConfig& config, int64_t total_steps, int64_t step);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_LEARNING_RATE_H_
