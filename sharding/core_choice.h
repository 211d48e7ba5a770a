// Which cores a rank computes on, as a function of plain facts. What PlanThreads in launch.h does with them.
#ifndef STOWAGE_SHARDING_CORE_CHOICE_H_
#define STOWAGE_SHARDING_CORE_CHOICE_H_

#include <string>

#include "sharding/cpu_set.h"

namespace stowage {

struct CoreFacts {
  CpuSet bound;                   // what this rank may run on now; not empty
  CpuSet allowed;                 // what the ranks of this host may use together; not empty
  bool binding_is_users = false;  // `bound` was asked for; else it is the launcher's default, or none at all
  double quota_cores = 0.0;       // processor time that the cgroup grants, 0: no limit
  int local_rank = 0;
  int local_size = 1;
};

struct CoreChoice {
  int threads = 1;
  CpuSet cores;
  std::string description;  // "threads 2 (auto: 2 cores, 1 rank on this host), cores 0-1"
};

// `requested` threads, or 0 for auto. Auto gives all ranks of a host the same number (results depend on it): the
// cores that the ranks may use, divided by the ranks, at least 1. Each rank gets a run of cores of its own; ranks
// share all of them where there are more ranks than cores, or more threads asked for than a rank's run holds.
// A quota of 1.5 cores counts as 2: two threads that are throttled do more than one that is not.
CoreChoice ChooseCores(const CoreFacts& facts, int requested);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_CORE_CHOICE_H_
