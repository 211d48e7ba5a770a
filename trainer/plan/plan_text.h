// A prediction for the terminal: what `stowage plan` prints and `train` refuses with.
//
// Sizes in tables are MiB, or GiB where the largest of a table has 100 GiB or more; what is there and rounds to nothing
// is "<0.1", what is not there is "-", never 0. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_PLAN_PLAN_TEXT_H_
#define STOWAGE_TRAINER_PLAN_PLAN_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/plan/prediction.h"

namespace stowage {

// The whole of it, without the instructions: docs/plan.md has an example and explains each line.
std::vector<std::string> PlanLines(const Prediction& prediction);

// The instructions as a table, phase after phase, in the order in which they are played: number (from 1 within the
// phase), what it is, its micro-batch, most bytes held at once within it, bytes held at its end. Empty: there are none.
std::vector<std::string> InstructionLines(const Prediction& prediction);

// OK if it fits. Otherwise ResourceExhausted: in one line and in the words of PlanLines which budget is short and by
// how much, where the peak is, and each hint. The exit code for it is kExitDoesNotFit.
absl::Status Refusal(const Prediction& prediction);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PLAN_TEXT_H_
