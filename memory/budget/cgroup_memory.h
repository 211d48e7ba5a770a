// What memory the cgroups grant this process.
#ifndef STOWAGE_MEMORY_BUDGET_CGROUP_MEMORY_H_
#define STOWAGE_MEMORY_BUDGET_CGROUP_MEMORY_H_

#include <vector>

#include "memory/budget/machine_source.h"
#include "memory/budget/memory_bound.h"

namespace stowage {

// Every limit from this process's groups up to the roots of their mounts: memory.max and memory.high (v2),
// memory.limit_in_bytes (v1). Which groups: /proc/self/cgroup; where they are mounted, and from which group on (in a
// container the mount often begins at the container's own): /proc/self/mountinfo. A group that is not below what is
// mounted is looked for from the mount's root on, where a container's limit stands.
// "max", and what v1 writes for no limit (2^63 less a page), are no bound. No cgroups: empty. Thread-safe.
std::vector<MemoryBound> CgroupMemoryBounds(const MachineSource& source);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_CGROUP_MEMORY_H_
