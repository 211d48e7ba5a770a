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
