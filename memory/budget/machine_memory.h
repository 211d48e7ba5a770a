// How much memory this process may use, and what says so.
#ifndef STOWAGE_MEMORY_BUDGET_MACHINE_MEMORY_H_
#define STOWAGE_MEMORY_BUDGET_MACHINE_MEMORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/budget/machine_source.h"
#include "memory/budget/memory_bound.h"

namespace stowage {

struct MachineMemory {
  int64_t total = 0;                // MemTotal
  int64_t available = 0;            // MemAvailable: what the kernel could give without swapping, right now
  std::vector<MemoryBound> bounds;  // the tightest for one process first; the total is always among them
  std::vector<std::string> warnings;
};

// What one of the ranks that share a host may use.
struct RankShare {
  int64_t bytes = 0;
  std::string source;     // "half of 4 GiB, the cgroup limit /sys/fs/cgroup/job/memory.max"
  bool enforced = false;  // going beyond is refused or killed by the system
};

// Reads cgroups (v1, v2), `ulimit -v` and `-d` (RLIMIT_AS, RLIMIT_DATA), the batch system's variables and
// /proc/meminfo. FailedPrecondition: there is no /proc/meminfo. Thread-safe.
absl::StatusOr<MachineMemory> ReadMachineMemory(const MachineSource& source = {});

// The tightest of the bounds, shared ones divided by `ranks_on_host` >= 1.
RankShare ShareOf(const MachineMemory& memory, int ranks_on_host);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_MACHINE_MEMORY_H_
