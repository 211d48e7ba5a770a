// Looks at this machine.
#ifndef STOWAGE_TRAINER_DOCTOR_READ_FACTS_H_
#define STOWAGE_TRAINER_DOCTOR_READ_FACTS_H_

#include <string>
#include <utility>
#include <vector>

#include "memory/budget/machine_source.h"
#include "sharding/cpu_set.h"
#include "trainer/doctor/facts.h"

namespace stowage {

// Each reads files below source.root, or variables of source, and fills its part of `facts`; what is not there stays as
// it was. Thread-safe.
void ReadMemoryFacts(const MachineSource& source, Facts* facts);
void ReadNumaNodes(const MachineSource& source, Facts* facts);
void ReadHugePages(const MachineSource& source, Facts* facts);
void ReadGpus(const MachineSource& source, Facts* facts);
void ReadLauncher(const MachineSource& source, Facts* facts);
void ReadLimits(const MachineSource& source, Facts* facts);
// `folders`: what each is for, and its path.
void ReadDisks(const std::vector<std::pair<std::string, std::string>>& folders, Facts* facts);

// Online cores, the cpuset's and the quota; `bound` are those that the rank was started on, before anything moved it.
void ReadCores(const MachineSource& source, const CpuSet& bound, Facts* facts);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DOCTOR_READ_FACTS_H_
