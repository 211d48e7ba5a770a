#include "sharding/launcher_wake.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <optional>

#include "sharding/launcher.h"
#include "sharding/launcher_process.h"

namespace stowage {
namespace {

constexpr int kPatienceMs = 30 * 1000;
// Long enough for mpirun to come out of sleep(3) and go into it again.
constexpr int kBetweenSignalsMs = 4;
// Beside the signals needed: mpirun learns of the end, says so, and cleans up.
constexpr int kLaunchersOwnMs = 3000;

// From here on what the child of a process with threads may do: system calls.

void SleepMs(int milliseconds) {
  const timespec pause = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
  nanosleep(&pause, nullptr);
}

bool Gone(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

// A lock file, a log or the launcher's pipes must not live longer than the rank.
void CloseAllFiles() {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 0U, ~0U, 0U) == 0) return;
#endif
  for (int fd = 0; fd < 65536; ++fd) close(fd);
}

// How long it took; at most `patience_ms`.
int WaitForEnd(pid_t pid, int patience_ms) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  int waited_ms = 0;
  while (waited_ms < patience_ms) {
    pollfd look{fd, POLLIN, 0};
    if (fd < 0 ? Gone(pid) : poll(&look, 1, 0) == 1) break;
    SleepMs(kBetweenSignalsMs);
    waited_ms += kBetweenSignalsMs;
  }
  if (fd >= 0) close(fd);
  return waited_ms;
}

[[noreturn]] void WaitThenWake(const std::vector<pid_t>& ranks, pid_t launcher, int signals) {
  CloseAllFiles();
  for (int ignored : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) signal(ignored, SIG_IGN);  // they are meant for the rank
  int patience_ms = kPatienceMs;
  for (pid_t rank : ranks) patience_ms -= WaitForEnd(rank, patience_ms);
  if (patience_ms <= 0) _exit(0);  // a rank lives: mpirun's clock decides
  for (int ms = 0; ms < 2 * signals * kBetweenSignalsMs + kLaunchersOwnMs; ms += kBetweenSignalsMs) {
    if (kill(launcher, SIGCHLD) != 0) break;
    SleepMs(kBetweenSignalsMs);
  }
  _exit(0);
}

}  // namespace

void WakeLauncherAfterEnd(const std::vector<PeerProcess>& peers) {
  const Environment environment = [](const char* name) -> const char* { return getenv(name); };
  const std::optional<int> timeout = KillTimeoutSeconds(environment);
  const std::optional<pid_t> launcher = LauncherProcess();
  if (!timeout.has_value() || !launcher.has_value()) return;
  std::vector<pid_t> ranks = {getpid()};
  for (const PeerProcess& peer : peers) ranks.push_back(peer.pid);
  // Not even a warning if there is no memory for it: then the end takes mpirun's own time.
  if (fork() == 0) WaitThenWake(ranks, *launcher, 2 * *timeout);
}

}  // namespace stowage
