// `stowage doctor` without its command line: looks at every host of a job and says what was found, and what to change.
#ifndef STOWAGE_TRAINER_DOCTOR_DOCTOR_H_
#define STOWAGE_TRAINER_DOCTOR_DOCTOR_H_

#include <string>

#include "absl/status/statusor.h"
#include "sharding/communicator.h"
#include "sharding/cpu_set.h"
#include "sharding/launch.h"
#include "trainer/doctor/facts.h"

namespace stowage {

struct DoctorOptions {
  std::string run_dir = "runs";  // whose disk is looked at
  bool json = false;
  CpuSet started_on;        // StartedOn(), called before the ranks were given their cores
  std::string cuda_driver;  // what the CUDA driver says of itself
};

// The cores that this process was started on.
CpuSet StartedOn();

// This rank's machine, and this rank on it.
Facts Examine(const Placement& placement, const ThreadPlan& threads, const DoctorOptions& options);

// Collective. On rank 0 the report, a part for each host (by its lowest rank), in the order of ranks; on others empty.
// As JSON: {"hosts": [...]}.
absl::StatusOr<std::string> DoctorReport(Communicator& communicator, const ThreadPlan& threads,
                                         const DoctorOptions& options);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DOCTOR_DOCTOR_H_
