// Whose outside bytes a plan uses: those that were measured here, those of a file that was named, or the shipped ones.
#ifndef STOWAGE_TRAINER_CALIBRATION_FIND_MACHINE_H_
#define STOWAGE_TRAINER_CALIBRATION_FIND_MACHINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "trainer/calibration/machine_file.h"
#include "trainer/plan/prediction.h"

namespace stowage {

struct FoundMachine {
  MachineFile file;
  Source source = Source::kEstimated;  // kMeasured: on this machine, as it is now
  std::string name;                    // for people: "this machine (measured 2026-11-23)"
  std::string remark;                  // why they are estimates, and what to do; empty: they are not
};

// Where `stowage calibrate` writes: $XDG_CACHE_HOME/stowage/machine.json, else ~/.cache/stowage/machine.json.
// FailedPrecondition: neither XDG_CACHE_HOME nor HOME is set.
absl::StatusOr<std::string> DefaultMachinePath();

// The file of calibration that was named; empty: the one at the default path, and if there is none or it is of
// another machine, which is remarked, the shipped one. A named file may be of another machine: its bytes are estimates.
// Errors: of a named file all of ReadMachineFile's; of the default one DataLoss.
absl::StatusOr<FoundMachine> FindMachine(const std::string& path, const MachineIdentity& here = ThisMachine());

// What comes with the program: measured on an AMD EPYC of the Zen 5 generation with 2 cores.
absl::StatusOr<MachineFile> ShippedMachine();

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_FIND_MACHINE_H_
