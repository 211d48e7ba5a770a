// The instruction at which a run began to hold something else than its rehearsal had said.
//
// Pure functions; thread-safe.
#ifndef STOWAGE_TRAINER_RUN_MARK_DIFFERENCE_H_
#define STOWAGE_TRAINER_RUN_MARK_DIFFERENCE_H_

#include <optional>
#include <string>
#include <vector>

#include "trainer/metrics/report.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/memory_marks.h"

namespace stowage {

// Goes through the prediction's instructions in the order in which they are played and gives the first whose peak of
// all tensors on the host is another than the run's marks have. Three rounds: the first step against the first time
// that each was played; all steps, an instruction's most in any of them; evaluations. So an allocation that the
// rehearsal did not make is found where it is made, and one that stays from step to step not before the second step.
// What was not rehearsed (micro-batches between the first and the last, phases that the run did not come to) is left
// out. nullopt: no difference.
std::optional<MarkDifference> FirstDifference(const Prediction& prediction, const std::vector<InstructionPeaks>& marks);

// Whether a phase's peak of all tensors is another than predicted, in a report that has both. Instructions that hold
// less than their phase's peak may differ without it: by a temporary tensor that the rehearsal does not make.
bool PeaksDiffer(const Report& report);

// One line for people.
std::string DifferenceWords(const MarkDifference& difference);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MARK_DIFFERENCE_H_
