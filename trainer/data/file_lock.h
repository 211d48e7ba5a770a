// An exclusive lock between processes, on a file that is made if missing (flock). Let go of by the destructor, or by
// the kernel when the process ends, however it ends. Works over NFS too, where Linux turns it into a record lock.
#ifndef STOWAGE_TRAINER_DATA_FILE_LOCK_H_
#define STOWAGE_TRAINER_DATA_FILE_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace stowage {

class FileLock {
 public:
  // Returns at once. FailedPrecondition: another holds it. Else as FileError (base/file.h).
  static absl::StatusOr<FileLock> Try(const std::string& path);
  // Blocks until it is held.
  static absl::StatusOr<FileLock> Wait(const std::string& path);

  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  static absl::StatusOr<FileLock> Lock(const std::string& path, int how);
  int fd_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_FILE_LOCK_H_
