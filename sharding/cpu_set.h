// Sets of cores: as the kernel keeps them, and as people read them. A core here is what Linux calls a CPU.
#ifndef STOWAGE_SHARDING_CPU_SET_H_
#define STOWAGE_SHARDING_CPU_SET_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

// Ascending core numbers.
using CpuSet = std::vector<int>;

// "0-3,8": runs joined.
std::string FormatCpuSet(const CpuSet& cores);

// The cores that thread `tid` may run on (0: the calling thread).
absl::StatusOr<CpuSet> AffinityOf(pid_t tid);

// Moves every thread that this process has onto `cores`. InvalidArgument if none of them is allowed.
absl::Status SetAffinityOfAllThreads(const CpuSet& cores);

// The cores that the cpuset cgroup allows this process, whatever it is bound to now. (The kernel itself intersects a
// request for all cores with the cpuset, v1 and v2 alike, so no file need be found. The calling thread's affinity is
// put back.)
absl::StatusOr<CpuSet> CpusetCores();

}  // namespace stowage

#endif  // STOWAGE_SHARDING_CPU_SET_H_
