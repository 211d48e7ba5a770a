// What makes one machine's outside bytes another's: the processor, the libraries, the system.
#ifndef STOWAGE_TRAINER_CALIBRATION_MACHINE_IDENTITY_H_
#define STOWAGE_TRAINER_CALIBRATION_MACHINE_IDENTITY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace stowage {

// Plain data.
struct MachineIdentity {
  std::string cpu;    // model name and the vector instructions that libraries choose code by: "AMD EPYC, avx2 avx512f"
  int64_t cores = 0;  // that this process may run on: libraries size tables and thread pools by them
  int64_t page_bytes = 0;
  std::string libc;      // "glibc 2.36"
  std::string libtorch;  // "2.11.0"
  std::string onednn;    // "2.6.3"
  std::string mpi;       // "Open MPI v4.1.4"
};

// Of this process, now. Thread-safe.
MachineIdentity ThisMachine();

// What differs, for people: "cores 64 and not 2"; empty: the same machine, as far as bytes go.
std::vector<std::string> Differences(const MachineIdentity& found, const MachineIdentity& wanted);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_MACHINE_IDENTITY_H_
