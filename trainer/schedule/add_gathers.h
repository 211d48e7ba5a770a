// Where the parameters of groups that are sharded (ZeRO 3) are gathered and given back.
//
// Source: Rajbhandari et al., "ZeRO", arXiv:1910.02054, section 5.3 (parameters are gathered just before a pass reads
// them, and dropped after); ahead of use as in Rajbhandari et al., "ZeRO-Infinity", arXiv:2104.07857, section 6.2.
#ifndef STOWAGE_TRAINER_SCHEDULE_ADD_GATHERS_H_
#define STOWAGE_TRAINER_SCHEDULE_ADD_GATHERS_H_

#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// Adds `gather g`, its `wait`, and `release g` to a list of everything else. Before each instruction that reads sharded
// parameters those are there, and the next `model.gather_ahead` groups that will be read are on their way; after it all
// others go. So a group that is read again at once stays (the last of forward), and no more than the groups of one
// instruction and gather_ahead others are held. Pure; O(instructions x groups).
void AddGathers(const ModelShape& model, Schedule* schedule);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_ADD_GATHERS_H_
