#include "trainer/metrics/report.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace stowage {

using Json = nlohmann::ordered_json;

namespace {

// "at_rss_peak": at one moment, so that what is in it adds up to "rss_peak_bytes".
void WriteMemory(const MemoryTable& table, Json* measured) {
  if (table.most_rss_peak_bytes.has_value()) (*measured)["most_rss_peak_bytes"] = *table.most_rss_peak_bytes;
  Json& json = (*measured)["at_rss_peak"];
  if (!table.unmeasured.empty()) {
    json["unmeasured"] = table.unmeasured;
    return;
  }
  json["moment"] = table.moment;
  for (const MemoryTable::Tensors& tensors : table.tensors) json["tensor_bytes"][tensors.category] = tensors.then_bytes;
  for (const MemoryTable::Line& line : table.outside) json["outside_bytes"][line.name] = line.bytes;
  json["unexplained_bytes"] = table.unexplained_bytes;
}

}  // namespace

absl::Status WriteReport(const std::string& path, const Report& report) {
  Json json = {{"finished", report.finished}};
  if (report.stop_signal.has_value()) json["stop_signal"] = *report.stop_signal;
  json["steps"] = report.steps;
  if (report.skipped_steps.has_value()) json["skipped_steps"] = *report.skipped_steps;
  if (report.voided_steps.has_value()) json["voided_steps"] = *report.voided_steps;
  if (report.micro_batch.has_value()) json["micro_batch"] = *report.micro_batch;
  if (report.last_loss.has_value()) json["last_loss"] = *report.last_loss;
  if (report.validation_loss.has_value()) json["validation_loss"] = *report.validation_loss;
  json["seconds"] = report.seconds;
  json["tokens"] = report.tokens;
  if (report.tokens_per_second.has_value()) json["tokens_per_second"] = *report.tokens_per_second;
  if (report.predicted_rss_peak_bytes.has_value()) {
    json["predicted"]["rss_peak_bytes"] = *report.predicted_rss_peak_bytes;
  }
  if (!report.predicted_phase_peak_bytes.empty()) {
    json["predicted"]["phase_peak_bytes"] = report.predicted_phase_peak_bytes;
  }
  if (!report.measured_peak_bytes.empty()) json["measured"]["peak_bytes"] = report.measured_peak_bytes;
  if (report.rss_peak_bytes > 0) json["measured"]["rss_peak_bytes"] = report.rss_peak_bytes;
  if (report.memory.has_value()) WriteMemory(*report.memory, &json["measured"]);
  if (!report.phase_peak_bytes.empty()) json["measured"]["phase_peak_bytes"] = report.phase_peak_bytes;
  for (const HighInstruction& high : report.highest_instructions) {
    Json entry = {{"phase", high.phase}, {"instruction", high.instruction}};
    if (high.micro_batch >= 0) entry["micro_batch"] = high.micro_batch;
    entry["times"] = high.times;
    entry["peak_bytes"] = high.peak_bytes;
    json["measured"]["highest_instructions"].push_back(std::move(entry));
  }
  if (report.first_difference.has_value()) {
    const MarkDifference& first = *report.first_difference;
    Json entry = {{"phase", first.phase}, {"instruction", first.instruction}};
    if (first.micro_batch >= 0) entry["micro_batch"] = first.micro_batch;
    entry["predicted_bytes"] = first.predicted_bytes;
    entry["measured_bytes"] = first.measured_bytes;
    json["first_difference"] = std::move(entry);
  }
  if (report.planned.has_value()) {
    json["planned"] = {{"arena_bytes", report.planned->arena_bytes},
                       {"peak_live_bytes", report.planned->peak_live_bytes},
                       {"steps", report.planned->steps},
                       {"served", report.planned->served},
                       {"fallbacks", report.planned->fallbacks}};
  }
  json["world_size"] = report.world_size;
  json["threads"] = report.threads;
  if (!report.versions.empty()) json["versions"] = report.versions;
  // Versions come from libraries: a byte that is not UTF-8 is shown as such and costs no report.
  return WriteFileDurably(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

absl::StatusOr<bool> ReportSaysFinished(const std::string& path) {
  const auto text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return false;
  STOWAGE_RETURN_IF_ERROR(text.status());
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("finished") || !json["finished"].is_boolean()) {
    return absl::DataLossError(absl::StrCat(path, ": not a report: no \"finished\" in it"));
  }
  return json["finished"].get<bool>();
}

}  // namespace stowage
