// What happened, step by step: metrics.jsonl, TensorBoard events and the progress line. Rank 0 only.
// All of the folder that a training loop needs; each part has its own header.
#ifndef STOWAGE_TRAINER_METRICS_METRICS_H_
#define STOWAGE_TRAINER_METRICS_METRICS_H_

#include "trainer/metrics/metrics_writer.h"  // IWYU pragma: export
#include "trainer/metrics/progress.h"        // IWYU pragma: export
#include "trainer/metrics/step_metrics.h"    // IWYU pragma: export

#endif  // STOWAGE_TRAINER_METRICS_METRICS_H_
