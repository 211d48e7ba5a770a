// Measures this machine's outside bytes: small real trainings in processes of their own.
#ifndef STOWAGE_TRAINER_CALIBRATION_CALIBRATE_H_
#define STOWAGE_TRAINER_CALIBRATION_CALIBRATE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/calibration/machine_file.h"

namespace stowage {

struct Calibration {
  MachineFile file;
  std::vector<std::string> remarks;  // what could not be measured, and why: no mpirun
};

// Starts this same program (/proc/self/exe, which must know `train`) several times, alone and at two ranks under
// mpirun, where one is found: two layers, two steps, made-up text. All in a folder of its own under TMPDIR or /tmp,
// which it removes. Takes some ten seconds. `tell`: what is being done, a line each. Not under a launcher.
// FailedPrecondition: under a launcher. Internal: a training failed, with its last words.
absl::StatusOr<Calibration> Calibrate(const std::function<void(const std::string&)>& tell);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_CALIBRATE_H_
