// The launcher as a process: who it is, and what it says by signal.
#ifndef STOWAGE_SHARDING_LAUNCHER_PROCESS_H_
#define STOWAGE_SHARDING_LAUNCHER_PROCESS_H_

#include <sys/types.h>

#include <optional>

namespace stowage {

// The process above us that forked this host's ranks: mpirun, or its daemon on another host. Nothing between it and
// us need be a direct parent: a script may stand there. nullopt: none of Open MPI's or PRRTE's names is above us.
std::optional<pid_t> LauncherProcess();

// The process whose SIGCONT tells this one that its job is about to be ended, while there is still time to save;
// nullopt if no process says so. Open MPI 4's mpirun sends it to every living rank of a host at once when it is told to
// end (or a rank failed), as long as odls_base_sigkill_timeout before SIGTERM; see docs/launching.md.
std::optional<pid_t> EndAnnouncer();

}  // namespace stowage

#endif  // STOWAGE_SHARDING_LAUNCHER_PROCESS_H_
