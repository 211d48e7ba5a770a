#include "sharding/shared_memory/shared_group.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

using Clock = std::chrono::steady_clock;

// Rounds of a collective follow each other within microseconds where both ranks run. Longer than this, the peer
// computes, and so does somebody who wants this core.
constexpr auto kSpinFor = std::chrono::microseconds(20);
// A look is one system call per peer; nobody feels a tenth of a second.
constexpr long kBetweenLooksNs = 100'000'000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Asleep while *word is `seen`, at most until the next look. Not FUTEX_PRIVATE: other processes wake it.
void Sleep(SharedWord& word, uint32_t seen) {
  const timespec limit = {0, kBetweenLooksNs};
  word.sleepers.fetch_add(1);
  syscall(SYS_futex, &word.value, FUTEX_WAIT, seen, &limit, nullptr, 0);
  word.sleepers.fetch_sub(1);
}

void Wake(SharedWord& word) { syscall(SYS_futex, &word.value, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0); }

// A sleeper that died is counted for ever: then a call of the kernel is made that was not needed.
void CountUp(SharedWord& word) {
  word.value.fetch_add(1);
  if (word.sleepers.load() != 0) Wake(word);
}

// 'T' and 't' in /proc/PID/stat: by a signal, or by a debugger.
bool IsStopped(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && (line[name_end + 2] == 'T' || line[name_end + 2] == 't');
}

void SayOnStderr(const std::string& line) {
  const ssize_t ignored = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(ignored);  // nobody is left to tell
}

}  // namespace

SharedGroup::SharedGroup(int rank, WindowLayout layout, std::vector<Window> windows, PeerWatch peers,
                         std::chrono::milliseconds stopped_after)
    : rank_(rank),
      layout_(layout),
      windows_(std::move(windows)),
      peers_(std::move(peers)),
      stopped_after_(stopped_after) {}

void SharedGroup::Arrive() { CountUp(control(rank_).phase); }

absl::Status SharedGroup::WaitForAll(absl::string_view during) {
  const uint32_t phase = control(rank_).phase.value.load(std::memory_order_relaxed);
  for (int step = 1; step < world_size(); ++step) {
    STOWAGE_RETURN_IF_ERROR(WaitFor((rank_ + step) % world_size(), phase, during));
  }
  return absl::OkStatus();
}

absl::Status SharedGroup::WaitFor(int peer, uint32_t phase, absl::string_view during) {
  SharedWord& word = control(peer).phase;
  uint32_t seen = 0;
  // Counts wrap: their difference says who is ahead.
  const auto here = [&] {
    seen = word.value.load();
    return static_cast<int32_t>(seen - phase) >= 0;
  };
  if (here()) return absl::OkStatus();
  const Clock::time_point since = Clock::now();
  while (Clock::now() - since < kSpinFor) {
    for (int i = 0; i < 16; ++i) {
      if (here()) return absl::OkStatus();
      Pause();
    }
  }
  Clock::time_point looked = since;
  while (!here()) {
    Sleep(word, seen);
    if (here()) break;
    if (Clock::now() - looked < std::chrono::nanoseconds(kBetweenLooksNs) && control(peer).ended.load() == 0) continue;
    looked = Clock::now();
    absl::Status health = Health();
    // Whoever arrived and then left, in order, has done its part.
    if (!health.ok()) return here() ? absl::OkStatus() : health;
    if (looked - since >= stopped_after_) LookForStopped(during);
  }
  return absl::OkStatus();
}

void SharedGroup::LookForStopped(absl::string_view during) {
  const PeerProcess* stopped = nullptr;
  for (const PeerProcess& peer : peers_.peers()) {
    if (stopped == nullptr && IsStopped(peer.pid)) stopped = &peer;
  }
  if (stopped != nullptr && !named_stopped_) {
    SayOnStderr(absl::StrCat("stowage: rank ", rank_, ": rank ", stopped->rank, " (process ", stopped->pid, " on ",
                             stopped->host, ") is stopped; ", during, " waits for it and goes on when it does (kill ",
                             "-CONT ", stopped->pid, ")\n"));
  }
  named_stopped_ = stopped != nullptr;
}

void SharedGroup::Ring(int rank) { CountUp(control(rank).doorbell); }

void SharedGroup::AwaitRing(uint32_t seen) {
  SharedWord& word = control(rank_).doorbell;
  if (word.value.load() == seen) Sleep(word, seen);
}

absl::Status SharedGroup::WordsOfEnd() const {
  for (int rank = 0; rank < world_size(); ++rank) {
    const ControlBlock& block = control(rank);
    const uint32_t code = block.ended.load();
    if (code != 0) return absl::Status(static_cast<absl::StatusCode>(code), block.message);
  }
  return absl::OkStatus();
}

absl::Status SharedGroup::Health() {
  absl::Status words = WordsOfEnd();
  if (!words.ok()) return words;
  const absl::Status death = peers_.Health();
  if (death.ok()) return death;
  // Whoever sees a death first says so before it goes itself: else its own end would be taken for the cause.
  words = WordsOfEnd();
  if (!words.ok()) return words;
  End(death);
  return death;
}

void SharedGroup::End(const absl::Status& cause) {
  if (ending_.exchange(true)) return;
  const absl::string_view message = cause.message();
  ControlBlock& mine = control(rank_);
  const size_t bytes = std::min<size_t>(message.size(), ControlBlock::kMessageBytes - 1);
  std::memcpy(mine.message, message.data(), bytes);
  mine.message[bytes] = '\0';
  mine.ended.store(static_cast<uint32_t>(cause.code()));
  WakeAll();
}

void SharedGroup::WakeAll() {
  for (int rank = 0; rank < world_size(); ++rank) {
    Wake(control(rank).phase);
    Ring(rank);
  }
}

}  // namespace stowage
