#include "trainer/data/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace stowage {

absl::StatusOr<FileLock> FileLock::Lock(const std::string& path, int how) {
  FileLock lock(FileDescriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)));
  if (!lock.file_.is_open()) return FileError(path, "open this lock", errno);
  while (flock(lock.file_.get(), how) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return absl::FailedPreconditionError(absl::StrCat(path, ": another process holds it"));
    return FileError(path, "lock", errno);
  }
  return lock;
}

absl::StatusOr<FileLock> FileLock::Try(const std::string& path) { return Lock(path, LOCK_EX | LOCK_NB); }

absl::StatusOr<FileLock> FileLock::Wait(const std::string& path) { return Lock(path, LOCK_EX); }

}  // namespace stowage
