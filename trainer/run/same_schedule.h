// All ranks make the same collective calls in a step, or none starts.
#ifndef STOWAGE_TRAINER_RUN_SAME_SCHEDULE_H_
#define STOWAGE_TRAINER_RUN_SAME_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "sharding/communicator.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// Equal configs do not make equal models where programs differ, and ranks whose reductions differ in order or size wait
// for each other in vain. `group_numel`: elements of each group's gradient buffer. Collective: a few bytes of each
// rank, and the lists themselves only if these differ. InvalidArgument on every rank if a rank's list differs from rank
// 0's: the rank, and the first collective in which it does.
absl::Status CheckSameSchedule(const Schedule& schedule, const ModelShape& model,
                               const std::vector<int64_t>& group_numel, Communicator& communicator);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SAME_SCHEDULE_H_
