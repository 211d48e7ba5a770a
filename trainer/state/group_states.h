// All groups of a model on this rank, in the model's order.
#ifndef STOWAGE_TRAINER_STATE_GROUP_STATES_H_
#define STOWAGE_TRAINER_STATE_GROUP_STATES_H_

#include <memory>
#include <vector>

#include "trainer/model/segment.h"
#include "trainer/state/group_state.h"

namespace stowage {

using GroupStates = std::vector<std::unique_ptr<GroupState>>;

// Groups are made one after another, with values still to be written, and with copies in bf16 of what `model`'s
// segments get in bf16: so their compute dtypes and ZeRO stages are set before. `rank`: whose shards these are, where
// anything is sharded. Throws what LibTorch throws when memory is short.
GroupStates MakeGroupStates(const Model& model, int world_size, int rank = 0);

// What `segment` gets, each in the dtype it computes in. `with_gradient`: see GroupState::parameter().
std::vector<Parameter> ParametersFor(const SegmentSpec& segment, const GroupStates& groups, bool with_gradient);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GROUP_STATES_H_
