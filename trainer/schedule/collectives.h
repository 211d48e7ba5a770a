// The same sequence of collectives on every rank: what one rank waits for in an order of its own, all wait for in vain.
//
// Pure functions. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_COLLECTIVES_H_
#define STOWAGE_TRAINER_SCHEDULE_COLLECTIVES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// The instructions in which ranks meet, in order, one a line: "reduce layer.3 (786432 elements)", "agree". Their number
// is left out where `group_numel` is empty. Ranks of equal text make the same calls with the same sizes.
std::string CollectivesText(const Schedule& schedule, const ModelShape& model,
                            const std::vector<int64_t>& group_numel = {});

// `ranks`: each rank's CollectivesText. InvalidArgument: one differs from rank 0's; the first rank that does, the first
// line in which it does, and both lines.
absl::Status VerifySameCollectives(const std::vector<std::string>& ranks);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_COLLECTIVES_H_
