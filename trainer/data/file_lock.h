// An exclusive lock between processes, on a file that is made if missing (flock). Let go of by the destructor, or by
// the kernel when the process ends, however it ends. Works over NFS too, where Linux turns it into a record lock.
#ifndef STOWAGE_TRAINER_DATA_FILE_LOCK_H_
#define STOWAGE_TRAINER_DATA_FILE_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace stowage {

class FileLock {
 public:
  // Returns at once. FailedPrecondition: another holds it. Else as FileError (base/file.h).
  static absl::StatusOr<FileLock> Try(const std::string& path);
  // Blocks until it is held.
  static absl::StatusOr<FileLock> Wait(const std::string& path);

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  static absl::StatusOr<FileLock> Lock(const std::string& path, int how);
  FileDescriptor file_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_FILE_LOCK_H_
