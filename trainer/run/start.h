// What programs that run on several ranks do first: meet the other ranks, agree that all can start, take their cores.
#ifndef STOWAGE_TRAINER_RUN_START_H_
#define STOWAGE_TRAINER_RUN_START_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "base/exit_code.h"
#include "sharding/communicator.h"
#include "sharding/launch.h"

namespace stowage {

struct StartRequest {
  absl::Status ready;            // what this rank found out before: its config, its options, its plan
  ExitCode refusal = kExitUsage; // how the program ends if `ready` is not OK
  std::string backend = "auto";  // sharding.backend
  int threads = 0;               // run.threads; 0: auto
};

// Meets the ranks of the launcher; if `ready` is not OK on one of them, all return `refusal`, and rank 0 says why.
// Else sets up the process (threads, allocator) and runs `work`, whose status becomes kExitOk, `*code` if `work` set
// it, or kExitFailure with rank 0 saying why. Ranks part only after rank 0 has spoken, as sharding/end_together.h says;
// a communicator that broke (Unavailable) ends all by its Abort. Collective.
using Work = std::function<absl::Status(Communicator& communicator, const ThreadPlan& threads, ExitCode* code)>;
int StartAndRun(const StartRequest& request, const Work& work);

// Ends all ranks with `code` (see sharding/end_together.h); rank 0 says why. Collective under a launcher.
int FailTogether(const absl::Status& status, ExitCode code);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_START_H_
