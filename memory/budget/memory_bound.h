// One upper bound on memory, and where it was found. Plain data.
#ifndef STOWAGE_MEMORY_BUDGET_MEMORY_BOUND_H_
#define STOWAGE_MEMORY_BUDGET_MEMORY_BOUND_H_

#include <cstdint>
#include <string>

namespace stowage {

struct MemoryBound {
  int64_t bytes = 0;
  std::string source;        // "cgroup limit /sys/fs/cgroup/job/memory.max", "SLURM_MEM_PER_NODE"
  bool per_process = false;  // of each process; else the processes of this host share it
  bool enforced = true;      // whoever goes beyond is refused or killed; false: it is only what there is
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_MEMORY_BOUND_H_
