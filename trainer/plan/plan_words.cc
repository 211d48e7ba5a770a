#include "trainer/plan/plan_words.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"

namespace stowage {

std::string SourceWord(Source source) {
  switch (source) {
    case Source::kRehearsed:
      return "rehearsed";
    case Source::kMeasured:
      return "measured";
    case Source::kEstimated:
      return "estimated";
  }
  return "?";
}

std::string VerdictWords(const BudgetVerdict& budget) {
  const std::string name = absl::StrCat(budget.key, ": ", budget.asked, ": ");
  std::string need = HumanByteSize(budget.need_bytes);
  if (!budget.limit_bytes.has_value()) return absl::StrCat(name, "no bound: needs ", need);
  std::string limit = HumanByteSize(*budget.limit_bytes);
  if (need == limit && budget.need_bytes != *budget.limit_bytes) {
    absl::StrAppend(&need, " (", budget.need_bytes, " B)");
    absl::StrAppend(&limit, " (", *budget.limit_bytes, " B)");
  }
  if (!budget.limit_source.empty()) absl::StrAppend(&limit, " (", budget.limit_source, ")");
  if (budget.fits()) {
    return absl::StrCat(name, "fits: needs ", need, " of ", limit, ", ",
                        HumanByteSize(*budget.limit_bytes - budget.need_bytes), " to spare");
  }
  return absl::StrCat(name, "does not fit: needs ", need, ", budget ", limit, ", short by ",
                      HumanByteSize(budget.need_bytes - *budget.limit_bytes));
}

std::string HintWords(const Hint& hint) {
  const std::string gives = hint.saves_bytes < 0 ? absl::StrCat("costs ", HumanByteSize(-hint.saves_bytes))
                                                 : absl::StrCat("saves ", HumanByteSize(hint.saves_bytes));
  return absl::StrCat(hint.key, ": ", hint.from, " -> ", hint.to, " ", gives,
                      hint.fits ? ", fits" : ", does not fit alone",
                      hint.note.empty() ? "" : absl::StrCat(" (also changes ", hint.note, ")"));
}

std::vector<std::string> AssumedWords(const Prediction& prediction) {
  if (prediction.assumed.empty()) return {};
  std::vector<std::string> lines = {
      "Assumed, not measured: calls of these operators were too large to be run, and what they take inside counts as "
      "0:"};
  for (const AssumedWorkspace& assumed : prediction.assumed) {
    lines.push_back(absl::StrCat("  ", assumed.name, ", on up to ", HumanByteSize(assumed.argument_bytes)));
  }
  return lines;
}

std::string ScheduleWords(const Prediction& prediction) {
  std::string words;
  for (const VerifiedSchedule& schedule : prediction.schedules) {
    absl::StrAppend(&words, words.empty() ? "Schedules proved sound: " : ", ", schedule.name, " (",
                    schedule.micro_batches, schedule.micro_batches == 1 ? " micro-batch, " : " micro-batches, ",
                    schedule.instructions, " instructions)");
  }
  return words;
}

const PhasePrediction* HighestPhase(const Prediction& prediction) {
  const PhasePrediction* highest = nullptr;
  for (const PhasePrediction& phase : prediction.phases) {
    if (highest == nullptr || phase.total_peak_bytes > highest->total_peak_bytes) highest = &phase;
  }
  return highest;
}

std::string MomentWords(const PhasePrediction& phase) {
  return absl::StrCat(phase.phase, ": ",
                      phase.peak_instruction.empty() ? "between instructions" : phase.peak_instruction);
}

}  // namespace stowage
