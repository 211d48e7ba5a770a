// TensorBoard's event file: scalars over steps, written without TensorFlow or protobuf.
//
// A file of records, each
//   uint64 length | uint32 masked CRC-32C of the length | bytes | uint32 masked CRC-32C of the bytes
// little-endian; the bytes are a protobuf Event: wall_time (1, double), step (2, int64), and one of file_version (3),
// summary (5: repeated value (1: tag (1), simple_value (2, float))) or session_log (7: status (1)).
//
// Source: tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto, summary.proto.
// Not thread-safe.
#ifndef STOWAGE_TRAINER_METRICS_EVENT_FILE_H_
#define STOWAGE_TRAINER_METRICS_EVENT_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"

namespace stowage {

class EventFile {
 public:
  struct Scalar {
    std::string tag;
    double value = 0.0;  // kept as float, the format's
  };

  // Makes `folder`/events.out.tfevents.<unix seconds>.<host>; of several, readers take later names as later.
  static absl::StatusOr<EventFile> Create(const std::string& folder);

  // Tells readers to forget what files before this one say of `first_step` and later steps.
  absl::Status WriteRestart(int64_t first_step);

  // One event; all or nothing.
  absl::Status Write(int64_t step, const std::vector<Scalar>& scalars);

  absl::Status Close();  // synced
  const std::string& path() const { return file_.path(); }

 private:
  explicit EventFile(OutputFile file) : file_(std::move(file)) {}
  absl::Status WriteEvent(const std::string& what, int64_t step);
  OutputFile file_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_EVENT_FILE_H_
