// How ranks end with an exit code.
//
// Launchers take a code other than 0 of any rank for the end of the job and kill the others, and Open MPI 4.1's mpirun
// holds up the job for long then (launcher_wake.h). So one rank has the say.
#ifndef STOWAGE_SHARDING_END_TOGETHER_H_
#define STOWAGE_SHARDING_END_TOGETHER_H_

#include <memory>

#include "sharding/communicator.h"

namespace stowage {

// What this process shall exit with, soon. The first code other than 0 in rank order is everyone's; the communicator is
// destroyed; ranks other than 0 get 0, and rank 0 gets the code after the processes of the others on its host have
// ended (at most 10 s later; ranks on other hosts get a moment). The launcher reports rank 0's code. A communicator
// that broke before: `code`, at once. Collective.
int EndTogether(std::unique_ptr<Communicator> communicator, int code);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_END_TOGETHER_H_
