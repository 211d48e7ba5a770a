// Plays schedules with names in place of tensors and judges by what comes out. For tests of the verifier.
//
// It shares no idea with the verifier but the instructions' meaning: no rules and no table of lives, but the values
// that the executor would compute, written down as text ("F0 F1" went through segments 0 and 1), and at the end a
// comparison with the values of a step done by hand. On the way it only refuses what would take the executor's memory
// or another rank by surprise.
#ifndef STOWAGE_TRAINER_SCHEDULE_NAIVE_PLAYER_H_
#define STOWAGE_TRAINER_SCHEDULE_NAIVE_PLAYER_H_

#include <string>

#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// Why the schedule is not a step (every gradient used) or an evaluation (none made) of all its micro-batches; empty: it
// is one.
std::string PlayNaively(const Schedule& schedule, const ModelShape& model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_NAIVE_PLAYER_H_
