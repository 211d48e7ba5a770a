// For tests: while it lives, no file of this process can grow past `bytes`. The kernel then fails the write itself, so
// the real path is tested, partial writes and all; the error is EFBIG, which code treats as it treats a full disk.
#ifndef STOWAGE_BASE_SCOPED_FILE_LIMIT_H_
#define STOWAGE_BASE_SCOPED_FILE_LIMIT_H_

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

#include "base/check.h"

namespace stowage {

class ScopedFileLimit {
 public:
  explicit ScopedFileLimit(int64_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    STOWAGE_CHECK(getrlimit(RLIMIT_FSIZE, &old_limit_) == 0) << "getrlimit";
    rlimit limit = old_limit_;
    limit.rlim_cur = static_cast<rlim_t>(bytes);
    STOWAGE_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0) << "setrlimit " << bytes;
  }
  ~ScopedFileLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  ScopedFileLimit(const ScopedFileLimit&) = delete;
  ScopedFileLimit& operator=(const ScopedFileLimit&) = delete;

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int) = SIG_DFL;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_SCOPED_FILE_LIMIT_H_
