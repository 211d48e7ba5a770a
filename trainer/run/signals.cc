#include "trainer/run/signals.h"

#include <atomic>
#include <cstring>

namespace stowage {
namespace {

// A handler has no argument of its own: this is the one place where it can write. Lock-free, so safe in a handler.
std::atomic<int> g_received{0};

void Note(int signal) {
  int none = 0;
  g_received.compare_exchange_strong(none, signal);
}

}  // namespace

constexpr int SignalWatch::kSignals[];

SignalWatch::SignalWatch() {
  g_received = 0;
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_handler = Note;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on; the loop looks once a step
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &action, &before_[i]);
}

SignalWatch::~SignalWatch() {
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int SignalWatch::received() const { return g_received.load(); }

}  // namespace stowage
