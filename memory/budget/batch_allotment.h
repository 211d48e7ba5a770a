// What memory a batch system says this job has on this host.
//
// Only these functions know batch systems' variables:
//   Slurm  SLURM_MEM_PER_NODE, or SLURM_MEM_PER_CPU times SLURM_CPUS_ON_NODE; MiB, 0: all that the host has
//   LSF    LSB_CG_MEMLIMIT; bytes, in hexadecimal
//   PBS    PBS_RESC_MEM, where the site hands it on; bytes. Elsewhere PBS sets a cgroup or `ulimit -v`
// Grid Engine sets `ulimit -v` (h_vmem), which is found there.
#ifndef STOWAGE_MEMORY_BUDGET_BATCH_ALLOTMENT_H_
#define STOWAGE_MEMORY_BUDGET_BATCH_ALLOTMENT_H_

#include <string>
#include <vector>

#include "memory/budget/machine_source.h"
#include "memory/budget/memory_bound.h"

namespace stowage {

// Empty: no batch system, or it says nothing. What cannot be read as a size is named in `warnings`.
std::vector<MemoryBound> BatchAllotments(const MachineSource& source, std::vector<std::string>* warnings);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_BATCH_ALLOTMENT_H_
