// When the last rank of a host has ended, mpirun need not wait for it any longer.
//
// Open MPI 4.1's mpirun (and its daemon on each host), once a rank has ended with another code than 0 or by a signal,
// sleeps twice for odls_base_sigkill_timeout seconds before it goes on, also if no rank is left on the host: with 120 a
// config error would be told in a second and over after four minutes. Its sleep is sleep(3), which gives back whole
// seconds when a signal interrupts it, and SIGCHLD is the signal it expects there: each one takes up to a second off.
#ifndef STOWAGE_SHARDING_LAUNCHER_WAKE_H_
#define STOWAGE_SHARDING_LAUNCHER_WAKE_H_

#include <vector>

#include "sharding/peer_watch.h"

namespace stowage {

// Leaves a small process behind, without files of ours, that waits until this process and all of `peers` have ended (at
// most 30 s) and then sends SIGCHLD to the launcher until that has ended too (at most a few seconds; nothing else comes
// of those signals). Does nothing without Open MPI 4's mpirun. Call it last before the process ends.
void WakeLauncherAfterEnd(const std::vector<PeerProcess>& peers);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_LAUNCHER_WAKE_H_
