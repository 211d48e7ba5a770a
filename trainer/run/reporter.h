// Where a run's words go: rank 0 has the progress line, metrics.jsonl and TensorBoard events; every rank a log file.
//
// A write that fails (a full disk) is said once on the progress line and does not stop training.
// Not thread-safe; one per rank.
#ifndef STOWAGE_TRAINER_RUN_REPORTER_H_
#define STOWAGE_TRAINER_RUN_REPORTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/metrics/metrics.h"
#include "trainer/metrics/rank_log.h"

namespace stowage {

class Reporter {
 public:
  // `folder`: the run folder, the same on all ranks. `resume_step`: the step restored, nullopt for a new run.
  // `quiet`: nothing on the terminal.
  static absl::StatusOr<Reporter> Open(const std::string& folder, int rank, bool quiet, int64_t total_steps,
                                       std::optional<int64_t> resume_step);

  // To this rank's log, and from rank 0 to the terminal.
  void Say(const std::string& line);
  // To this rank's log only.
  void Log(const std::string& line);
  void Step(const StepMetrics& metrics);
  void Eval(const EvalMetrics& metrics);
  void Finish();
  // Rank 0: MetricsWriter::resumed_evaluated. Elsewhere false.
  bool resumed_evaluated() const { return metrics_ != nullptr && metrics_->resumed_evaluated(); }

 private:
  void Note(const absl::Status& status);

  std::unique_ptr<MetricsWriter> metrics_;  // null on ranks other than 0
  std::unique_ptr<Progress> progress_;      // null on ranks other than 0, and when quiet
  std::unique_ptr<RankLog> log_;
  bool write_failed_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_REPORTER_H_
