#include "trainer/run/signals.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "sharding/launcher_process.h"

namespace stowage {
namespace {

// A handler has no argument of its own: these are the places where it can read and write. Lock-free, so safe there.
std::atomic<int> g_received{0};
std::atomic<pid_t> g_announcer{0};

void Note(int signal, siginfo_t* info, void*) {
  // Signals of the kernel or of a terminal's job control have no sender, or process 0.
  if (signal == SIGCONT && (info->si_code != SI_USER || info->si_pid == 0 || info->si_pid != g_announcer)) return;
  int none = 0;
  g_received.compare_exchange_strong(none, signal);
}

}  // namespace

constexpr int SignalWatch::kSignals[];

SignalWatch::SignalWatch() : SignalWatch(EndAnnouncer()) {}

SignalWatch::SignalWatch(std::optional<pid_t> announcer) {
  // With AVX-512 and AMX a frame alone takes 11 KiB; the system knows.
  const size_t stack_bytes = std::max<size_t>(size_t{64} << 10, static_cast<size_t>(sysconf(_SC_SIGSTKSZ)));
  stack_ = std::make_unique<char[]>(stack_bytes);
  stack_t stack = {};
  stack.ss_sp = stack_.get();
  stack.ss_size = stack_bytes;
  STOWAGE_CHECK(sigaltstack(&stack, &stack_before_) == 0) << std::strerror(errno);
  g_received = 0;
  g_announcer = announcer.value_or(0);
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_sigaction = Note;
  action.sa_flags =
      SA_RESTART | SA_SIGINFO | SA_ONSTACK;  // reads and writes under way go on; the loop looks once a step
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &action, &before_[i]);
}

SignalWatch::~SignalWatch() {
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &before_[i], nullptr);
  sigaltstack(&stack_before_, nullptr);
}

sigset_t SignalWatch::Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : kSignals) sigaddset(&signals, signal);
  return signals;
}

int SignalWatch::received() const { return g_received.load(); }

}  // namespace stowage
