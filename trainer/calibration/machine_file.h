// What `stowage calibrate` measured, as a file: machine, date, and the outside bytes of some small trainings.
//
// JSON with a checksum (CRC-32C) over all else in it, so that a file that was cut short or altered is refused.
#ifndef STOWAGE_TRAINER_CALIBRATION_MACHINE_FILE_H_
#define STOWAGE_TRAINER_CALIBRATION_MACHINE_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/calibration/machine_identity.h"

namespace stowage {

// One small training. Plain data.
struct CalibratedCase {
  bool recurrent = false;     // an rnn: LibTorch's cells bring MKL's code and oneDNN's of LibTorch's own
  std::string precision;      // "fp32", "bf16"
  int64_t ranks = 1;          // on the host
  int64_t threads = 1;        // of a rank
  int64_t product_bytes = 0;  // PackingBytes of its largest product
  // outside line as in report.json, or "unexplained" -> bytes, 0 or more; without the pool's lines
  std::map<std::string, int64_t> bytes;
};

struct MachineFile {
  MachineIdentity machine;
  std::string date;  // "2026-11-23"
  std::vector<CalibratedCase> cases;
};

// The file's text.
std::string MachineFileText(const MachineFile& file);

// `path` is for the words. DataLoss: not such a file, cut short, or altered, with what to do.
absl::StatusOr<MachineFile> ParseMachineFile(absl::string_view text, const std::string& path);

// Errors of ReadFile and ParseMachineFile.
absl::StatusOr<MachineFile> ReadMachineFile(const std::string& path);

// All or nothing; makes the folder. Errors of base/file.h.
absl::Status WriteMachineFile(const std::string& path, const MachineFile& file);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_MACHINE_FILE_H_
