#include "trainer/metrics/metrics_writer.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/metrics/event_file.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;  // keys as people want to read them; doubles in the shortest form that reads back

// What of metrics.jsonl a run that goes on from `step` keeps.
struct Kept {
  int64_t bytes = 0;       // whole lines of steps up to `step`: the first torn or later line ends it
  bool evaluated = false;  // one of them is the evaluation of `step` itself
};

Kept KeptUpToStep(const std::string& path, int64_t step) {
  std::ifstream file(path, std::ios::binary);
  Kept kept;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // eof: the last line lacks its end
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) break;
    const int64_t of = json["step"].get<int64_t>();
    if (of > step) break;
    kept.bytes += static_cast<int64_t>(line.size()) + 1;
    kept.evaluated |= of == step && json.contains("validation_loss");
  }
  return kept;
}

class FileMetricsWriter : public MetricsWriter {
 public:
  FileMetricsWriter(OutputFile lines, EventFile events, bool resumed_evaluated)
      : lines_(std::move(lines)), events_(std::move(events)), resumed_evaluated_(resumed_evaluated) {}

  bool resumed_evaluated() const override { return resumed_evaluated_; }

  absl::Status Write(const StepMetrics& metrics) override {
    Json line = {{"step", metrics.step},
                 {"loss", metrics.loss},
                 {"lr", metrics.lr},
                 {"grad_norm", metrics.grad_norm},
                 {"tokens", metrics.tokens},
                 {"seconds", metrics.seconds},
                 {"tokens_per_second", metrics.tokens_per_second},
                 {"memory", metrics.memory_peak_bytes}};
    std::vector<EventFile::Scalar> scalars = {{"train/lr", metrics.lr},
                                              {"train/tokens_per_second", metrics.tokens_per_second}};
    if (std::isfinite(metrics.loss)) scalars.push_back({"train/loss", metrics.loss});
    if (std::isfinite(metrics.grad_norm)) scalars.push_back({"train/grad_norm", metrics.grad_norm});
    if (metrics.micro_batch.has_value()) line["micro_batch"] = *metrics.micro_batch;
    if (metrics.voided > 0) line["voided"] = metrics.voided;
    if (metrics.skipped) line["skipped"] = true;
    if (metrics.loss_scale.has_value()) {
      line["loss_scale"] = *metrics.loss_scale;
      scalars.push_back({"train/loss_scale", *metrics.loss_scale});
    }
    if (metrics.rss_peak_bytes > 0) {
      line["rss_peak_bytes"] = metrics.rss_peak_bytes;
      scalars.push_back({"memory/rss_peak_bytes", static_cast<double>(metrics.rss_peak_bytes)});
    }
    for (const auto& [category, bytes] : metrics.memory_peak_bytes) {
      scalars.push_back({absl::StrCat("memory/", category, "_bytes"), static_cast<double>(bytes)});
    }
    return WriteBoth(line, metrics.step, scalars);
  }

  absl::Status Write(const EvalMetrics& metrics) override {
    Json line = {{"step", metrics.step},
                 {"validation_loss", metrics.validation_loss},
                 {"tokens", metrics.tokens},
                 {"seconds", metrics.seconds}};
    if (metrics.text_bytes_per_token > 0.0) {
      line["validation_loss_per_byte"] = metrics.validation_loss / metrics.text_bytes_per_token;
    }
    std::vector<EventFile::Scalar> scalars = {{"validation/loss", metrics.validation_loss}};
    if (metrics.accuracy.has_value()) {
      line["accuracy"] = *metrics.accuracy;
      scalars.push_back({"validation/accuracy", *metrics.accuracy});
    }
    return WriteBoth(line, metrics.step, scalars);
  }

  absl::Status Close() override {
    const absl::Status events = events_.Close();
    STOWAGE_RETURN_IF_ERROR(lines_.Sync());
    STOWAGE_RETURN_IF_ERROR(lines_.Close());
    return events;
  }

 private:
  // Each is tried whatever became of the other; the first failure is told.
  absl::Status WriteBoth(const Json& line, int64_t step, const std::vector<EventFile::Scalar>& scalars) {
    const absl::Status wrote_line =
        lines_.AppendRecord(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    const absl::Status wrote_event = events_.Write(step, scalars);
    return wrote_line.ok() ? wrote_event : wrote_line;
  }

  OutputFile lines_;
  EventFile events_;
  const bool resumed_evaluated_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsWriter>> MetricsWriter::Open(const std::string& run_folder,
                                                                   std::optional<int64_t> resume_step) {
  STOWAGE_RETURN_IF_ERROR(MakeFolders(run_folder));
  const std::string path = absl::StrCat(run_folder, "/metrics.jsonl");
  const Kept kept = resume_step.has_value() ? KeptUpToStep(path, *resume_step) : Kept();
  STOWAGE_ASSIGN_OR_RETURN(OutputFile lines, OutputFile::Continue(path, kept.bytes));
  STOWAGE_ASSIGN_OR_RETURN(EventFile events, EventFile::Create(run_folder));
  if (resume_step.has_value()) STOWAGE_RETURN_IF_ERROR(events.WriteRestart(*resume_step + 1));
  return std::make_unique<FileMetricsWriter>(std::move(lines), std::move(events), kept.evaluated);
}

}  // namespace stowage
