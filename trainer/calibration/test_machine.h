// A made-up file of calibration, for tests.
#ifndef STOWAGE_TRAINER_CALIBRATION_TEST_MACHINE_H_
#define STOWAGE_TRAINER_CALIBRATION_TEST_MACHINE_H_

#include <string>

#include "trainer/calibration/machine_file.h"

namespace stowage {

inline constexpr int64_t kTestMiB = int64_t{1} << 20;

inline CalibratedCase MadeUpCase(bool recurrent, const std::string& precision, int ranks, int64_t libraries) {
  CalibratedCase c;
  c.recurrent = recurrent;
  c.precision = precision;
  c.ranks = ranks;
  c.threads = 2;
  c.product_bytes = kTestMiB;
  c.bytes = {{"libraries", libraries}, {"heap", kTestMiB}, {"heap_idle", 4 * kTestMiB}, {"unexplained", 1000}};
  return c;
}

inline MachineFile MadeUpMachine() {
  MachineFile file;
  file.machine = {"Made Up 9000, avx2", 4, 4096, "glibc 2.36", "2.11.0", "2.6.3", "Open MPI v4.1.4"};
  file.date = "2026-01-02";
  file.cases = {MadeUpCase(false, "fp32", 1, 80 * kTestMiB), MadeUpCase(false, "bf16", 1, 81 * kTestMiB),
                MadeUpCase(true, "fp32", 1, 90 * kTestMiB), MadeUpCase(false, "fp32", 2, 86 * kTestMiB)};
  return file;
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_TEST_MACHINE_H_
