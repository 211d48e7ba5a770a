#include "trainer/run/signals.h"

#include <atomic>
#include <cstring>

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
  g_received = 0;
  g_announcer = announcer.value_or(0);
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_sigaction = Note;
  action.sa_flags = SA_RESTART | SA_SIGINFO;  // reads and writes under way go on; the loop looks once a step
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &action, &before_[i]);
}

SignalWatch::~SignalWatch() {
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int SignalWatch::received() const { return g_received.load(); }

}  // namespace stowage
