// metrics.jsonl and TensorBoard's event file of a run folder. Rank 0 only.
#ifndef STOWAGE_TRAINER_METRICS_METRICS_WRITER_H_
#define STOWAGE_TRAINER_METRICS_METRICS_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/metrics/step_metrics.h"

namespace stowage {

// Writes metrics.jsonl (one JSON object a line, handed to the system line by line) and events.out.tfevents.*.
//
//   {"step":1,"loss":5.6,"lr":0.001,"grad_norm":2.1,"tokens":4096,"seconds":2.3,"tokens_per_second":1780.9,
//    "memory":{"parameters":42663936,...},"rss_peak_bytes":1234567890}
//   {"step":50,"validation_loss":2.9,"tokens":436224,"seconds":12.1}
// A step has "micro_batch" too, what it was made with; "voided", how often it ran out of memory before, if it did;
// "skipped": true, if its loss or gradients were not finite and nothing was updated; "loss_scale", where there is one.
// A system that does not say its peak (no /proc) leaves "rss_peak_bytes" out.
// An evaluation of a model of classes has "accuracy" too, the share of samples classed right.
// An evaluation of text in subwords has "validation_loss_per_byte" too, which can be compared between tokenizers.
//
// Numbers read back to the same double; one that is not finite is null, since JSON has no name for it.
// Not thread-safe. A write that fails (disk full) does not stop training: the status is returned once per failure, no
// half line is left, and the next call tries again with its own line; lines that failed are not written later.
class MetricsWriter {
 public:
  // `resume_step`: lines of metrics.jsonl after that step are cut (a torn last line too), and readers of the event
  // files are told to forget the steps after it. nullopt: a new file.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& run_folder,
                                                             std::optional<int64_t> resume_step);
  virtual ~MetricsWriter() = default;
  virtual absl::Status Write(const StepMetrics& metrics) = 0;
  virtual absl::Status Write(const EvalMetrics& metrics) = 0;
  // Whether the evaluation of the resumed step is in the file already: a run that was stopped at a step saves at once,
  // before the evaluation that may be due there.
  virtual bool resumed_evaluated() const = 0;
  virtual absl::Status Close() = 0;  // puts both files on disk; further calls are bugs
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_METRICS_WRITER_H_
