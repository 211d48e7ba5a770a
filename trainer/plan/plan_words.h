// The words for a verdict, a hint and a source: one place, so that the terminal, the page and a refused `train` say the
// same. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_PLAN_PLAN_WORDS_H_
#define STOWAGE_TRAINER_PLAN_PLAN_WORDS_H_

#include <string>
#include <vector>

#include "trainer/plan/prediction.h"

namespace stowage {

// "rehearsed", "measured", "estimated".
std::string SourceWord(Source source);

// Sizes are rounded to one decimal; where rounding makes need and limit look alike, their bytes stand beside them.
//   "memory.host: 6GiB: fits: needs 5.1 GiB of 6 GiB, 921.6 MiB to spare"
//   "memory.host: 80%: does not fit: needs 7.2 GiB, budget 6.4 GiB (80 % of the memory cgroup's 8 GiB), short by ..."
//   "memory.host: auto: no bound: needs 5.1 GiB"
std::string VerdictWords(const BudgetVerdict& budget);

// "train.micro_batch: 8 -> 4 saves 512 MiB, fits", "...: saves 12 MiB, does not fit alone (also changes ...)".
std::string HintWords(const Hint& hint);

// What is said where no hint fits alone.
inline constexpr char kNothingHelps[] =
    "no change of one key alone makes it fit: it needs several, a smaller model, or a larger budget";

// What could not be measured and counts as nothing, a line each under a heading; empty: all was measured.
std::vector<std::string> AssumedWords(const Prediction& prediction);

// "Schedules proved sound: train step (8 micro-batches, 412 instructions), ..."; empty: none was.
std::string ScheduleWords(const Prediction& prediction);

// The phase that holds most, of those with instructions or without; nullptr: there is no phase. The first of equals.
const PhasePrediction* HighestPhase(const Prediction& prediction);

// "step: backward h.3.attn", "save: between instructions".
std::string MomentWords(const PhasePrediction& phase);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PLAN_WORDS_H_
