// How this process was started, and the communicator that follows from it.
//
// Alone: Solo. Under mpirun or srun (see launcher.h for the variables): MPI, one rank each.
#ifndef STOWAGE_SHARDING_LAUNCH_H_
#define STOWAGE_SHARDING_LAUNCH_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "sharding/communicator.h"

namespace stowage {

// True if a launcher's variables are in the environment (also with one rank).
bool UnderLauncher();

// `backend`: "auto", "mpi" (MPI even with one rank), "shared_memory" (ranks of one host, which MPI brings together;
// Unimplemented where they are of several). "nccl" is Unimplemented until the CUDA program exists.
// Collective over all ranks of the launcher. MPI is initialised, called and finalised by one thread that the
// communicator owns; destroying the communicator ends it in order.
// FailedPrecondition: launcher and MPI library do not belong together (each rank would be alone in a job of its own).
absl::StatusOr<std::unique_ptr<Communicator>> Launch(const std::string& backend);

// The cores this rank computes on. `requested` threads, or 0 for auto: the cores that this host's ranks may use,
// divided by local_size, at least 1. Where the launcher bound this rank by its own default (mpirun binds one or
// two ranks to one core each unless told otherwise), the binding is widened to this rank's share of the cores
// that the cgroup allows; a binding that the user asked for is kept.
// A rank alone, without launcher, keeps the affinity it was started with. A cgroup's quota of processor time counts.
// With more ranks than cores there is no binding and 1 thread each.
// Moves all threads that the process has by now (the communicator's among them; later ones inherit) and returns what
// to print: "threads 2 (auto: 2 cores, 1 rank on this host), cores 0-1". InvalidArgument: requested < 0.
struct ThreadPlan {
  int threads = 1;
  std::string description;
};
absl::StatusOr<ThreadPlan> PlanThreads(const Placement& placement, int requested);

// The ranks that the launcher started, before they have met; one rank without a launcher. Where it does not say how many
// of them share this host, all do.
struct LaunchedRanks {
  int world_size = 1;
  int on_this_host = 1;
};
LaunchedRanks RanksOfLauncher();

// mpirun gives its ranks 2 s to end unless told otherwise. Empty if there is time enough to save (or no mpirun); else
// the sentence to warn with, with the option to give.
std::string GraceWarning();

// What the MPI library says it is, in one line: "Open MPI v4.1.4, package: ...".
std::string MpiVersion();

}  // namespace stowage

#endif  // STOWAGE_SHARDING_LAUNCH_H_
