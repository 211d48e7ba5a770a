#include "trainer/plan/plan_text.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "trainer/plan/categories.h"
#include "trainer/plan/plan_words.h"
#include "trainer/plan/size_column.h"

namespace stowage {
namespace {

using Lines = std::vector<std::string>;

// "1 rank", "4 ranks".
std::string Count(int64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

Lines HeadLines(const Prediction& p) {
  const std::string batch = p.micro_batches_per_rank == 1
                                ? absl::StrCat("1 micro-batch of ", p.micro_batch)
                                : absl::StrCat(p.micro_batches_per_rank, " micro-batches of ", p.micro_batch);
  return {absl::StrCat(p.config, ": ", p.model),
          absl::StrCat("  ", Count(p.world_size, "rank"), " of ", Count(p.threads, "thread"), "; global batch ",
                       p.global_batch, ": ", batch, " on each rank"),
          absl::StrCat("  precision ", p.precision, ", zero ", p.zero, ", recompute ", p.recompute)};
}

std::optional<int64_t> At(const std::map<std::string, int64_t>& bytes, const std::string& category) {
  const auto found = bytes.find(category);
  if (found == bytes.end()) return std::nullopt;
  return found->second;
}

// Rows: categories. Columns: phases.
Lines PhaseLines(const Prediction& p) {
  if (p.phases.empty()) return {"No phase was rehearsed: no peak of tensors is predicted."};
  int64_t largest = 0;
  for (const PhasePrediction& phase : p.phases) {
    largest = std::max(largest, phase.total_peak_bytes);
    for (const auto& [name, bytes] : phase.peak_bytes) largest = std::max(largest, bytes);
  }
  const SizeColumn column(largest);
  Lines lines = {absl::StrCat("Predicted peaks of a rank's tensors, ", column.unit(), ", each at its own moment")};
  std::string head = absl::StrFormat("  %-16s", "");
  std::string all = absl::StrFormat("  %-16s", "all at once");
  for (const PhasePrediction& phase : p.phases) {
    absl::StrAppend(&head, absl::StrFormat(" %11s", phase.phase));
    absl::StrAppend(&all, absl::StrFormat(" %11s", column.Text(phase.total_peak_bytes)));
  }
  lines.push_back(head);
  for (const std::string& category : CategoriesOf(p)) {
    std::string line = absl::StrFormat("  %-16s", category);
    for (const PhasePrediction& phase : p.phases) {
      absl::StrAppend(&line, absl::StrFormat(" %11s", column.Text(At(phase.peak_bytes, category))));
    }
    lines.push_back(line);
  }
  lines.push_back(all);
  for (const PhasePrediction& phase : p.phases) lines.push_back(absl::StrCat("  highest in ", MomentWords(phase)));
  return lines;
}

// What a process holds when it holds the most: the rows add up to the last one.
Lines ResidentLines(const Prediction& p) {
  if (p.outside.empty() && !p.rss_peak_bytes.has_value()) {
    return {"What a process holds beside its tensors is not known of this machine, so no peak resident is predicted;",
            "`stowage calibrate` measures it, --machine FILE takes another machine's"};
  }
  int64_t sum = p.tensors_peak_bytes;
  int64_t largest = std::max(p.tensors_peak_bytes, p.rss_peak_bytes.value_or(0));
  for (const OutsidePrediction& outside : p.outside) {
    sum += outside.bytes;
    largest = std::max(largest, outside.bytes);
  }
  const SizeColumn column(largest);
  Lines lines = {absl::StrCat("What a rank's process holds at its peak, ", column.unit(),
                              p.machine.empty() ? "" : absl::StrCat("; machine: ", p.machine))};
  const auto add = [&](absl::string_view text, std::optional<int64_t> bytes, absl::string_view mark) {
    std::string line = absl::StrFormat("  %-32s %11s", text, column.Text(bytes));
    if (!mark.empty()) absl::StrAppend(&line, "   ", mark);
    lines.push_back(line);
  };
  add("tensors, all at once", p.tensors_peak_bytes, SourceWord(Source::kRehearsed));
  for (const OutsidePrediction& outside : p.outside) {
    add(outside.text.empty() ? outside.name : outside.text, outside.bytes, SourceWord(outside.source));
  }
  if (p.rss_peak_bytes.has_value() && sum != *p.rss_peak_bytes) add("other", *p.rss_peak_bytes - sum, "");
  if (p.rss_peak_bytes.has_value()) {
    add("predicted peak resident", p.rss_peak_bytes, "");
  } else {
    lines.push_back("  predicted peak resident: not known");
  }
  if (!p.machine_remark.empty()) lines.push_back(absl::StrCat("  ", p.machine_remark));
  return lines;
}

Lines ScheduleLines(const Prediction& p) {
  const std::string words = ScheduleWords(p);
  return words.empty() ? Lines() : Lines{words};
}

Lines VerdictLines(const Prediction& p) {
  if (p.budgets.empty()) return {"No budget is set: nothing to judge by."};
  Lines lines;
  for (const BudgetVerdict& budget : p.budgets) {
    lines.push_back(VerdictWords(budget));
    if (!budget.first_over.empty()) lines.push_back(absl::StrCat("  first over it: ", budget.first_over));
  }
  if (!p.rss_peak_bytes.has_value()) lines.push_back("  (what is needed beside tensors is not known and not counted)");
  return lines;
}

Lines HintLines(const Prediction& p) {
  if (p.fits()) return {};
  if (p.hints.empty()) return {kNothingHelps};
  Lines lines = {"What would help, each change by itself:"};
  for (const Hint& hint : p.hints) lines.push_back(absl::StrCat("  ", HintWords(hint)));
  if (!p.hints[0].fits) lines.push_back(absl::StrCat("  ", kNothingHelps));
  return lines;
}

void Append(const Lines& more, Lines* lines) {
  if (more.empty()) return;
  if (!lines->empty()) lines->push_back("");
  lines->insert(lines->end(), more.begin(), more.end());
}

}  // namespace

std::vector<std::string> PlanLines(const Prediction& prediction) {
  Lines lines = HeadLines(prediction);
  Append(PhaseLines(prediction), &lines);
  Append(ResidentLines(prediction), &lines);
  Append(AssumedWords(prediction), &lines);
  Append(ScheduleLines(prediction), &lines);
  Append(VerdictLines(prediction), &lines);
  Append(HintLines(prediction), &lines);
  Append({absl::StrFormat("Rehearsed in %.2f s.", prediction.seconds)}, &lines);
  return lines;
}

std::vector<std::string> InstructionLines(const Prediction& prediction) {
  int64_t largest = 0;
  size_t widest = 11;
  for (const InstructionPrediction& i : prediction.instructions) {
    largest = std::max({largest, i.total_peak_bytes, i.total_live_bytes});
    widest = std::max(widest, i.label.size());
  }
  const SizeColumn column(largest);
  const int width = static_cast<int>(std::min<size_t>(widest, 60));
  Lines lines;
  std::string phase;
  int number = 0;
  for (const InstructionPrediction& i : prediction.instructions) {
    if (lines.empty() || i.phase != phase) {
      if (!lines.empty()) lines.push_back("");
      lines.push_back(absl::StrCat("Instructions of ", i.phase, ": tensors, ", column.unit()));
      lines.push_back(absl::StrFormat("  %6s  %-*s  %11s  %11s  %11s", "", width, "instruction", "micro-batch", "peak",
                                      "at its end"));
      phase = i.phase;
      number = 0;
    }
    lines.push_back(absl::StrFormat("  %6d  %-*s  %11s  %11s  %11s", ++number, width, i.label,
                                    i.micro_batch < 0 ? "-" : absl::StrCat(i.micro_batch),
                                    column.Text(i.total_peak_bytes), column.Text(i.total_live_bytes)));
  }
  return lines;
}

absl::Status Refusal(const Prediction& prediction) {
  if (prediction.fits()) return absl::OkStatus();
  std::string message;
  for (const BudgetVerdict& budget : prediction.budgets) {
    if (!budget.fits()) absl::StrAppend(&message, message.empty() ? "" : "; ", VerdictWords(budget));
  }
  if (const PhasePrediction* highest = HighestPhase(prediction)) {
    absl::StrAppend(&message, "; highest in ", MomentWords(*highest));
  }
  for (const Hint& hint : prediction.hints) absl::StrAppend(&message, "; ", HintWords(hint));
  if (prediction.hints.empty() || !prediction.hints[0].fits) absl::StrAppend(&message, "; ", kNothingHelps);
  return absl::ResourceExhaustedError(message);
}

}  // namespace stowage
