#include "trainer/plan/plan_html.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "base/utf8.h"
#include "trainer/plan/categories.h"
#include "trainer/plan/memory_columns.h"
#include "trainer/plan/memory_drawing.h"
#include "trainer/plan/plan_html_parts.h"
#include "trainer/plan/plan_words.h"
#include "trainer/plan/size_column.h"
#include "trainer/plan/xml_text.h"

namespace stowage {
namespace {

using ByteMap = std::map<std::string, int64_t>;

std::string Element(absl::string_view tag, absl::string_view text, absl::string_view attributes = "") {
  return absl::StrCat("<", tag, attributes, ">", XmlText(text), "</", tag, ">");
}

std::optional<int64_t> BytesOf(const ByteMap& bytes, const std::string& category) {
  const auto found = bytes.find(category);
  if (found == bytes.end()) return std::nullopt;
  return found->second;
}

// A number in the table's unit; the exact bytes appear when the pointer rests on it.
std::string SizeCell(const SizeColumn& column, std::optional<int64_t> bytes) {
  const std::string exact = bytes.has_value() ? absl::StrCat(" title=\"", *bytes, " B\"") : "";
  return Element("td", column.Text(bytes), exact);
}

std::string Head(const Prediction& p) {
  std::string out = absl::StrCat(Element("h1", p.model), "\n");
  absl::StrAppend(&out, Element("p", absl::StrCat(p.config, "; ranks ", p.world_size, ", threads ", p.threads)), "\n");
  absl::StrAppend(&out,
                  Element("p", absl::StrCat("global batch ", p.global_batch, ", micro-batch ", p.micro_batch,
                                            ", micro-batches per rank ", p.micro_batches_per_rank, "; precision ",
                                            p.precision, ", zero ", p.zero, ", recompute ", p.recompute)),
                  "\n");
  for (const BudgetVerdict& budget : p.budgets) {
    absl::StrAppend(
        &out,
        Element("p", VerdictWords(budget), budget.fits() ? " class=\"verdict fits\"" : " class=\"verdict short\""),
        "\n");
    if (!budget.first_over.empty()) {
      absl::StrAppend(&out, Element("p", absl::StrCat("first over it: ", budget.first_over)), "\n");
    }
  }
  if (p.budgets.empty()) absl::StrAppend(&out, Element("p", "No budget is set: nothing to judge by."), "\n");
  if (!p.budgets.empty() && !p.rss_peak_bytes.has_value()) {
    absl::StrAppend(&out, Element("p", "What is needed beside tensors is not known and not counted."), "\n");
  }
  if (!p.hints.empty()) {
    absl::StrAppend(&out, "<h2>What would help, each change by itself</h2>\n<ul>\n");
    for (const Hint& hint : p.hints) absl::StrAppend(&out, Element("li", HintWords(hint)), "\n");
    absl::StrAppend(&out, "</ul>\n");
  }
  if (!p.fits() && (p.hints.empty() || !p.hints[0].fits)) absl::StrAppend(&out, Element("p", kNothingHelps), "\n");
  return out;
}

std::string PhaseTable(const Prediction& p) {
  if (p.phases.empty()) return "<p>No phase was rehearsed: no peak of tensors is predicted.</p>\n";
  int64_t largest = 0;
  for (const PhasePrediction& phase : p.phases) {
    largest = std::max(largest, phase.total_peak_bytes);
    for (const auto& [name, bytes] : phase.peak_bytes) largest = std::max(largest, bytes);
  }
  const SizeColumn column(largest);
  std::string out = absl::StrCat("<h2>Predicted peaks of a rank's tensors, ", column.unit(),
                                 ", each at its own moment</h2>\n<table>\n<thead><tr><th></th>");
  std::string all = "<tr><td>all at once</td>";
  std::string moments = "<tr><td>highest in</td>";
  for (const PhasePrediction& phase : p.phases) {
    absl::StrAppend(&out, Element("th", phase.phase));
    absl::StrAppend(&all, SizeCell(column, phase.total_peak_bytes));
    absl::StrAppend(&moments,
                    Element("td", phase.peak_instruction.empty() ? "between instructions" : phase.peak_instruction));
  }
  absl::StrAppend(&out, "</tr></thead>\n<tbody>\n");
  for (const std::string& category : CategoriesOf(p)) {
    absl::StrAppend(&out, "<tr>", Element("td", category));
    for (const PhasePrediction& phase : p.phases) {
      absl::StrAppend(&out, SizeCell(column, BytesOf(phase.peak_bytes, category)));
    }
    absl::StrAppend(&out, "</tr>\n");
  }
  return absl::StrCat(out, "</tbody>\n<tfoot>", all, "</tr>\n", moments, "</tr></tfoot>\n</table>\n");
}

std::string ResidentTable(const Prediction& p) {
  if (p.outside.empty() && !p.rss_peak_bytes.has_value()) {
    return "<p>What a process holds beside its tensors is not known of this machine, so no peak resident is "
           "predicted.</p>\n";
  }
  int64_t sum = p.tensors_peak_bytes;
  int64_t largest = std::max(sum, p.rss_peak_bytes.value_or(0));
  for (const OutsidePrediction& outside : p.outside) {
    sum += outside.bytes;
    largest = std::max(largest, outside.bytes);
  }
  const SizeColumn column(largest);
  std::string out = absl::StrCat("<h2>What a rank's process holds at its peak, ", column.unit(), "</h2>\n");
  if (!p.machine.empty())
    absl::StrAppend(&out, Element("p", absl::StrCat("machine: ", p.machine), " class=\"soft\""), "\n");
  absl::StrAppend(&out, "<table>\n<tbody>\n");
  const auto row = [&](absl::string_view text, std::optional<int64_t> bytes, absl::string_view mark) {
    absl::StrAppend(&out, "<tr>", Element("td", text), SizeCell(column, bytes), Element("td", mark, " class=\"name\""),
                    "</tr>\n");
  };
  row("tensors, all at once", p.tensors_peak_bytes, SourceWord(Source::kRehearsed));
  for (const OutsidePrediction& outside : p.outside) {
    row(outside.text.empty() ? outside.name : outside.text, outside.bytes, SourceWord(outside.source));
  }
  if (p.rss_peak_bytes.has_value() && sum != *p.rss_peak_bytes) row("other", *p.rss_peak_bytes - sum, "");
  absl::StrAppend(&out, "</tbody>\n<tfoot>");
  row("predicted peak resident", p.rss_peak_bytes, p.rss_peak_bytes.has_value() ? "" : "not known");
  return absl::StrCat(out, "</tfoot>\n</table>\n");
}

// What a rehearsal could not measure, and what it proved.
std::string Footnotes(const Prediction& p) {
  std::string out;
  const std::vector<std::string> assumed = AssumedWords(p);
  if (!assumed.empty()) {
    absl::StrAppend(&out, Element("p", assumed[0]), "\n<ul>\n");
    for (size_t i = 1; i < assumed.size(); ++i) absl::StrAppend(&out, Element("li", assumed[i]), "\n");
    absl::StrAppend(&out, "</ul>\n");
  }
  const std::string schedules = ScheduleWords(p);
  if (!schedules.empty()) absl::StrAppend(&out, Element("p", schedules), "\n");
  return out;
}

// A drawing, the place of its read-out, and its instructions.
std::string PhaseSection(const Prediction& p, const std::string& phase, const std::vector<std::string>& categories) {
  int64_t largest = 0;
  for (const InstructionPrediction& i : p.instructions) {
    if (i.phase == phase) largest = std::max({largest, i.total_peak_bytes, i.total_live_bytes});
  }
  const SizeColumn column(largest);
  std::string out = absl::StrCat("<section data-phase=\"", XmlText(phase), "\">\n", Element("h2", phase), "\n",
                                 MemoryDrawing(p, phase),
                                 "<div class=\"read-out js soft\" style=\"white-space:pre-wrap\">The pointer over the "
                                 "drawing, or the arrow keys on it, read out an instruction.</div>\n");
  absl::StrAppend(&out, "<details><summary>Instructions of ", XmlText(phase), ": tensors, ", column.unit(),
                  "</summary>\n<p class=\"js\">Sort by <button type=\"button\" data-sort=\"order\">order</button> or "
                  "<button type=\"button\" data-sort=\"peak\">peak</button></p>\n<div class=\"scroll\"><table>\n"
                  "<thead><tr><th>no.</th><th class=\"name\">instruction</th><th>micro-batch</th><th>peak</th>"
                  "<th>at its end</th>");
  for (const std::string& category : categories) absl::StrAppend(&out, Element("th", category));
  absl::StrAppend(&out, "</tr></thead>\n<tbody>\n");
  int number = 0;
  for (const InstructionPrediction& i : p.instructions) {
    if (i.phase != phase) continue;
    absl::StrAppend(&out, "<tr data-order=\"", ++number, "\" data-peak=\"", i.total_peak_bytes, "\"><td>", number,
                    "</td>", Element("td", i.label, " class=\"name\""), "<td>",
                    i.micro_batch < 0 ? "-" : absl::StrCat(i.micro_batch), "</td>",
                    SizeCell(column, i.total_peak_bytes), SizeCell(column, i.total_live_bytes));
    for (const std::string& category : categories) {
      absl::StrAppend(&out, SizeCell(column, BytesOf(i.peak_bytes, category)));
    }
    absl::StrAppend(&out, "</tr>\n");
  }
  return absl::StrCat(out, "</tbody>\n</table></div></details>\n</section>\n");
}

nlohmann::ordered_json BytesJson(const ByteMap& bytes, const std::vector<std::string>& categories) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const std::string& category : categories) {
    if (const auto count = BytesOf(bytes, category)) object[ValidUtf8(category)] = *count;
  }
  return object;
}

// What the script reads out; kPlanScript has the form. ASCII without "<", so that nothing in it ends the element.
std::string Data(const Prediction& p, const std::vector<std::string>& categories) {
  nlohmann::ordered_json data = {{"outside", nullptr}, {"phases", nlohmann::ordered_json::object()}};
  if (p.rss_peak_bytes.has_value()) data["outside"] = *p.rss_peak_bytes - p.tensors_peak_bytes;
  for (const InstructionPrediction& i : p.instructions) {
    nlohmann::ordered_json row = nlohmann::ordered_json::array();
    row.push_back(ValidUtf8(i.label));
    row.push_back(i.micro_batch);
    row.push_back(i.total_peak_bytes);
    row.push_back(i.total_live_bytes);
    row.push_back(BytesJson(i.peak_bytes, categories));
    row.push_back(BytesJson(i.live_bytes, categories));
    data["phases"][ValidUtf8(i.phase)].push_back(row);
  }
  return absl::StrReplaceAll(data.dump(-1, ' ', /*ensure_ascii=*/true), {{"<", "\\u003c"}});
}

}  // namespace

std::string PlanHtml(const Prediction& prediction) {
  const std::vector<std::string> categories = CategoriesOf(prediction);
  std::string out = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n",
      Element("title", absl::StrCat("Plan: ", prediction.model)), "\n<style>", kPlanStyle,
      "</style>\n</head>\n<body>\n", Head(prediction));
  for (const std::string& phase : DrawnPhases(prediction)) {
    absl::StrAppend(&out, PhaseSection(prediction, phase, categories));
  }
  if (prediction.instructions.empty()) absl::StrAppend(&out, "<p>No instructions were rehearsed.</p>\n");
  absl::StrAppend(&out, PhaseTable(prediction), ResidentTable(prediction), Footnotes(prediction),
                  Element("p", absl::StrFormat("Rehearsed in %.2f s.", prediction.seconds), " class=\"soft\""),
                  "\n<script type=\"application/json\" id=\"plan-data\">", Data(prediction, categories),
                  "</script>\n<script>", kPlanScript, "</script>\n</body>\n</html>\n");
  return out;
}

}  // namespace stowage
