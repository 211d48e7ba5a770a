#include "sharding/launch.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/core_choice.h"
#include "sharding/cpu_quota.h"
#include "sharding/cpu_set.h"
#include "sharding/launcher.h"
#include "sharding/launcher_process.h"
#include "sharding/mpi_communicator.h"
#include "sharding/shared_memory/shared_memory_communicator.h"
#include "sharding/solo_communicator.h"

namespace stowage {
namespace {

const char* ProcessEnvironment(const char* name) { return getenv(name); }

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

absl::StatusOr<CpuSet> CoresOfAllRanks() {
  STOWAGE_ASSIGN_OR_RETURN(const CpuSet cpuset, CpusetCores());
  // mpirun itself is not bound: its affinity is what the user gave to the whole job (by taskset, say), which mpirun's
  // own default binding of ranks disregards.
  const std::optional<pid_t> launcher = LauncherProcess();
  if (!launcher.has_value()) return cpuset;
  const absl::StatusOr<CpuSet> theirs = AffinityOf(*launcher);
  if (!theirs.ok()) return cpuset;  // another user's process: then the cgroup's word stands
  CpuSet both;
  std::set_intersection(cpuset.begin(), cpuset.end(), theirs->begin(), theirs->end(), std::back_inserter(both));
  return both.empty() ? cpuset : both;
}

absl::StatusOr<CoreFacts> FindCoreFacts(const Placement& placement) {
  CoreFacts facts;
  facts.local_rank = placement.local_rank;
  facts.local_size = placement.local_size;
  facts.quota_cores = CgroupQuotaCores(ReadAll("/proc/self/cgroup"), "/sys/fs/cgroup");
  STOWAGE_ASSIGN_OR_RETURN(facts.bound, AffinityOf(0));
  if (!StartedByLauncher(ProcessEnvironment)) {
    facts.allowed = facts.bound;  // what the shell, or taskset, gave this process
    return facts;
  }
  STOWAGE_ASSIGN_OR_RETURN(facts.allowed, CoresOfAllRanks());
  // Other launchers than Open MPI 4's mpirun (srun) bind only where they, or the site, were told to.
  facts.binding_is_users =
      StartedByOpenMpi4(ProcessEnvironment) ? UserChoseBinding(ProcessEnvironment) : facts.bound != facts.allowed;
  return facts;
}

// MPI has brought the ranks together, and ends them: from here on it is idle between the two.
absl::StatusOr<std::unique_ptr<Communicator>> OverSharedMemory(std::unique_ptr<Communicator> launcher) {
  const Placement& placement = launcher->placement();
  if (placement.local_size != placement.world_size) {
    return absl::UnimplementedError(absl::StrCat("sharding.backend: shared_memory is for the ranks of one host; host ",
                                                 placement.host, " has ", placement.local_size, " of ",
                                                 placement.world_size, " ranks: use mpi"));
  }
  return SharedMemoryCommunicator::CreateOver(std::move(launcher));
}

}  // namespace

bool UnderLauncher() { return StartedByLauncher(ProcessEnvironment); }

absl::StatusOr<std::unique_ptr<Communicator>> Launch(const std::string& backend) {
  if (backend == "nccl") {
    return absl::UnimplementedError("sharding.backend: nccl needs the CUDA program, which this one is not; use auto");
  }
  if (backend != "auto" && backend != "mpi" && backend != "shared_memory") {
    return absl::InvalidArgumentError(
        absl::StrCat("sharding.backend: ", backend, " is not one of auto, mpi, shared_memory, nccl"));
  }
  if (backend == "auto" && !UnderLauncher()) return std::make_unique<SoloCommunicator>();
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<MpiCommunicator> communicator, MpiCommunicator::Create());
  const std::optional<int> started = LauncherWorldSize(ProcessEnvironment);
  if (started.has_value() && *started != communicator->world_size()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the launcher started ", *started, " ranks, MPI (", MpiVersion(), ") finds ", communicator->world_size(),
        ": launcher and library do not belong together; use mpirun of that library, or srun --mpi=pmix"));
  }
  if (backend == "shared_memory") return OverSharedMemory(std::move(communicator));
  return communicator;
}

absl::StatusOr<ThreadPlan> PlanThreads(const Placement& placement, int requested) {
  if (requested < 0) return absl::InvalidArgumentError(absl::StrCat("threads: ", requested, " is less than 1"));
  STOWAGE_ASSIGN_OR_RETURN(const CoreFacts facts, FindCoreFacts(placement));
  const CoreChoice choice = ChooseCores(facts, requested);
  STOWAGE_RETURN_IF_ERROR(SetAffinityOfAllThreads(choice.cores));
  return ThreadPlan{choice.threads, choice.description};
}

LaunchedRanks RanksOfLauncher() {
  LaunchedRanks ranks;
  if (!UnderLauncher()) return ranks;
  ranks.world_size = LauncherWorldSize(ProcessEnvironment).value_or(1);
  ranks.on_this_host = LauncherLocalSize(ProcessEnvironment).value_or(ranks.world_size);
  return ranks;
}

std::string GraceWarning() { return GraceWarningFor(ProcessEnvironment); }

std::string MpiVersion() { return MpiLibraryVersion(); }

}  // namespace stowage
