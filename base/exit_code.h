// What the program says to a batch system when it ends. Documented in docs/exit_codes.md; never renumber.
#ifndef STOWAGE_BASE_EXIT_CODE_H_
#define STOWAGE_BASE_EXIT_CODE_H_

namespace stowage {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,          // data, files, memory, a peer: the message says which
  kExitUsage = 2,            // command line or config: nothing was started
  kExitDoesNotFit = 3,       // the plan does not fit the budget (used from `plan` on)
  kExitStoppedAndSaved = 75, // a signal asked for it; a checkpoint is complete; run again with --resume
};

}  // namespace stowage

#endif  // STOWAGE_BASE_EXIT_CODE_H_
