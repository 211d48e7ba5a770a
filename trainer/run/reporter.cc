#include "trainer/run/reporter.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/launch.h"

namespace stowage {

absl::StatusOr<Reporter> Reporter::Open(const std::string& folder, int rank, bool quiet, int64_t total_steps,
                                        std::optional<int64_t> resume_step) {
  Reporter reporter;
  STOWAGE_ASSIGN_OR_RETURN(reporter.log_, RankLog::Open(folder, rank));
  if (rank != 0) return reporter;
  STOWAGE_ASSIGN_OR_RETURN(reporter.metrics_, MetricsWriter::Open(folder, resume_step));
  if (!quiet) {
    const int64_t first_step = resume_step.value_or(0);
    reporter.progress_ = UnderLauncher() ? Progress::MakePlain(STDOUT_FILENO, total_steps, first_step)
                                         : Progress::Make(STDOUT_FILENO, total_steps, first_step);
  }
  return reporter;
}

void Reporter::Say(const std::string& line) {
  Log(line);
  if (progress_) progress_->Say(line);
}

void Reporter::Log(const std::string& line) { log_->Write(line).IgnoreError(); }

void Reporter::Step(const StepMetrics& metrics) {
  Log(absl::StrCat("step ", metrics.step, " loss ", metrics.loss, " seconds ", metrics.seconds));
  if (metrics_) Note(metrics_->Write(metrics));
  if (progress_) progress_->Step(metrics);
}

void Reporter::Eval(const EvalMetrics& metrics) {
  Log(absl::StrCat("step ", metrics.step, " validation_loss ", metrics.validation_loss));
  if (metrics_) Note(metrics_->Write(metrics));
  if (progress_) progress_->Eval(metrics);
}

void Reporter::Finish() {
  if (metrics_) Note(metrics_->Close());
  if (progress_) progress_->Finish();
}

void Reporter::Note(const absl::Status& status) {
  if (!status.ok() && !write_failed_) Say(absl::StrCat("metrics are not being written: ", status.message()));
  write_failed_ = !status.ok();
}

}  // namespace stowage
