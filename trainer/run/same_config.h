// All ranks were started with the same experiment, or none starts.
#ifndef STOWAGE_TRAINER_RUN_SAME_CONFIG_H_
#define STOWAGE_TRAINER_RUN_SAME_CONFIG_H_

#include <string>

#include "absl/status/status.h"
#include "sharding/communicator.h"
#include "trainer/config/config.h"
#include "trainer/config/registered.h"

namespace stowage {

// `options`: the command line's part that must agree too (run folder, resume), as text. Collective. InvalidArgument
// on every rank if one differs from rank 0: the rank, the keys and both values.
absl::Status CheckSameConfig(const Config& config, const std::string& options, Communicator& communicator,
                             const Registered& registered = {});

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SAME_CONFIG_H_
