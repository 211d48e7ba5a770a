// What happened, step by step: metrics.jsonl, TensorBoard events and the progress line. Rank 0 only.
#ifndef STOWAGE_TRAINER_METRICS_METRICS_H_
#define STOWAGE_TRAINER_METRICS_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

struct StepMetrics {
  int64_t step = 0;                 // updates done, 1 after the first
  double loss = 0.0;                // mean over the step's loss terms, of all ranks
  double lr = 0.0;
  double grad_norm = 0.0;           // before clipping, of the mean gradient
  int64_t tokens = 0;               // loss terms of this step, all ranks
  double seconds = 0.0;             // of this step
  double tokens_per_second = 0.0;
  std::map<std::string, int64_t> memory_peak_bytes;  // category -> most bytes held at once in this step
  int64_t rss_peak_bytes = 0;       // VmHWM of rank 0
};

struct EvalMetrics {
  int64_t step = 0;
  double validation_loss = 0.0;
  int64_t tokens = 0;
  double seconds = 0.0;
};

// Writes metrics.jsonl (one JSON object a line, flushed) and events.out.tfevents.* in a run folder.
// Not thread-safe. A write that fails (disk full) does not stop training: the status is returned once per failure
// and the next call tries again.
class MetricsWriter {
 public:
  // `resume_step`: lines of metrics.jsonl after that step are cut (a torn last line too). nullopt: a new file.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& run_folder,
                                                             std::optional<int64_t> resume_step);
  virtual ~MetricsWriter() = default;
  virtual absl::Status Write(const StepMetrics& metrics) = 0;
  virtual absl::Status Write(const EvalMetrics& metrics) = 0;
  virtual absl::Status Close() = 0;
};

// The line a person watches. On a terminal one line, rewritten in place; piped: plain lines, one per step shown
// (every step at first, then at growing distances so that a long run writes a few hundred).
class Progress {
 public:
  static std::unique_ptr<Progress> Make(int fd, int64_t total_steps, int64_t first_step);
  virtual ~Progress() = default;
  virtual void Step(const StepMetrics& metrics) = 0;
  virtual void Eval(const EvalMetrics& metrics) = 0;
  virtual void Say(const std::string& line) = 0;  // a whole line, without tearing the progress line
  virtual void Finish() = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_METRICS_H_
