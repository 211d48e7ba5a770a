// A piece of work in a process of its own, which ends with it: what it does to the process's allocator, threads and
// memory is gone, and what it does wrong kills nobody else.
#ifndef STOWAGE_TRAINER_RUN_CHILD_H_
#define STOWAGE_TRAINER_RUN_CHILD_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace stowage {

// Forks, runs `work` in the child and returns its text or its error. Before this process has threads (a computing team,
// MPI): a forked child has none of them. The child dies with its parent. FailedPrecondition:
// there are threads. Internal: no child could be made, or it died, with the signal's name.
absl::StatusOr<std::string> RunInChild(const std::function<absl::StatusOr<std::string>()>& work);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_CHILD_H_
