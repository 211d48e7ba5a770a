#include "trainer/run/child.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file_descriptor.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

// On the pipe: the status's code, a line end, then the text or the message.
std::string Encode(const absl::StatusOr<std::string>& result) {
  const absl::Status& status = result.status();
  return absl::StrCat(static_cast<int>(status.code()), "\n", status.ok() ? *result : std::string(status.message()));
}

bool WriteAll(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

absl::Status SystemError(const char* what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

// A child has the calling thread only: what another one holds (a lock, its part of a team's work) never ends there.
absl::Status CheckOneThread() {
  std::error_code error;
  int threads = 0;
  for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
       task.increment(error)) {
    ++threads;
  }
  if (threads <= 1) return absl::OkStatus();  // 0: no /proc, so nobody knows
  return absl::FailedPreconditionError(
      absl::StrCat("the process has ", threads, " threads already, and can have no forked child"));
}

}  // namespace

absl::StatusOr<std::string> RunInChild(const std::function<absl::StatusOr<std::string>()>& work) {
  STOWAGE_RETURN_IF_ERROR(CheckOneThread());
  int ends[2];
  if (pipe(ends) != 0) return SystemError("no pipe for a child process");
  FileDescriptor reads(ends[0]), writes(ends[1]);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return SystemError("no child process");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A dry tensor's header touches a page; it shall be a small one.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (getppid() != parent) _exit(1);
    const bool written = WriteAll(writes.get(), Encode(work()));
    _exit(written ? 0 : 1);  // without destructors and exit handlers, which are the parent's
  }
  writes = FileDescriptor();
  const std::string answer = ReadAll(reads.get());
  int how = 0;
  while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(how)) {
    return absl::InternalError(absl::StrCat("a child process was killed by ", strsignal(WTERMSIG(how))));
  }
  const size_t line = answer.find('\n');
  int code = 0;
  if (line == std::string::npos || !absl::SimpleAtoi(answer.substr(0, line), &code)) {
    return absl::InternalError(absl::StrCat("a child process ended with code ", WEXITSTATUS(how), " and no answer"));
  }
  const std::string rest = answer.substr(line + 1);
  if (code != 0) return absl::Status(static_cast<absl::StatusCode>(code), rest);
  return rest;
}

}  // namespace stowage
