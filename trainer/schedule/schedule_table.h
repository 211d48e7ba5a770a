// Schedules as text, for people.
//
// Pure functions. Torch-free. An index that the model does not have is printed as a number with a question mark, so
// that a wrong schedule can be shown too.
#ifndef STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_
#define STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_

#include <string>

#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// With names: "forward head micro 0 keep nothing", "recompute layer.3 micro 0 from its inputs", "reduce layer.3 -> e4",
// "agree".
std::string InstructionText(const Instruction& instruction, const ModelShape& model);

// InstructionText of each, one a line.
std::string ScheduleTable(const Schedule& schedule, const ModelShape& model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_
