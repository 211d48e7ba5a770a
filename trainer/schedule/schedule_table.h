// Schedules as text, for people.
//
// Pure functions. Torch-free. An index that the model does not have is printed as a number with a question mark, so
// that a wrong schedule can be shown too.
#ifndef STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_
#define STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// With names: "forward head micro 0 keep nothing", "reduce layer.3 -> e4", "agree".
std::string InstructionText(const Instruction& instruction, const ModelShape& model);

// InstructionText of each, one a line.
std::string ScheduleTable(const Schedule& schedule, const ModelShape& model);

// In columns, under a line of headings, each line ending in '\n':
//
//   index  op        target     micro  event   live     peak
//       0  forward   embedding      0         1 MiB  1.5 MiB
//       5  reduce    norm                 e0  900 B    900 B
//
// `live_bytes`: held when an instruction is over; `peak_bytes`: the most that was held within it. Each is either empty
// (its column is left out) or has a number for every instruction; a negative one is not known, and left blank. A column
// that would be empty is left out; a column "keep" is there if some forward keeps less than all.
std::string ScheduleColumns(const Schedule& schedule, const ModelShape& model,
                            const std::vector<int64_t>& live_bytes = {}, const std::vector<int64_t>& peak_bytes = {});

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_SCHEDULE_TABLE_H_
