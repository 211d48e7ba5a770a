// What is known of a step, or of an evaluation, once it is done. Plain data.
#ifndef STOWAGE_TRAINER_METRICS_STEP_METRICS_H_
#define STOWAGE_TRAINER_METRICS_STEP_METRICS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace stowage {

struct StepMetrics {
  int64_t step = 0;   // steps done, skipped ones included; 1 after the first
  double loss = 0.0;  // mean over the step's loss terms, of all ranks
  double lr = 0.0;
  double grad_norm = 0.0;  // before clipping, of the mean gradient
  int64_t tokens = 0;      // loss terms of this step, all ranks
  double seconds = 0.0;    // of this step
  double tokens_per_second = 0.0;
  std::map<std::string, int64_t> memory_peak_bytes;  // category -> most bytes held at once in this step
  int64_t rss_peak_bytes = 0;                        // VmHWM of rank 0; 0: the system does not say
  std::string counted = "tokens";                    // what `tokens` counts, as people call it: tokens or samples
  std::optional<int64_t> micro_batch;                // that the step was made with, in samples
  int64_t voided = 0;                                // how often it ran out of memory before it was made
  bool skipped = false;                              // loss or gradients were not finite: nothing was updated
  std::optional<double> loss_scale;                  // of this step, where there is one
};

struct EvalMetrics {
  int64_t step = 0;
  double validation_loss = 0.0;
  int64_t tokens = 0;
  double seconds = 0.0;
  double text_bytes_per_token = 0.0;  // on average, of the validation set; 0: not text by subwords, or not known
  std::optional<double> accuracy;     // share of samples classed right, of a model of classes
  std::string counted = "tokens";     // as in StepMetrics
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_STEP_METRICS_H_
