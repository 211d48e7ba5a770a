#include "sharding/peer_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(10);
// A parent collects its children at once, unless it sleeps, as mpirun does while it ends a job.
constexpr absl::Duration kUntilCollected = absl::Milliseconds(500);
// Processes of other hosts end at about the same time as ours; then their daemon tells mpirun.
constexpr absl::Duration kOtherHosts = absl::Milliseconds(500);

// Within one of these, a process id means one process: a boot of a machine, and a process namespace on it.
std::string ProcessSpace() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  char space[64] = "";
  const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof(space));
  return absl::StrCat(boot, "/", absl::string_view(space, length > 0 ? length : 0));
}

bool Gone(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

}  // namespace

absl::StatusOr<PeerWatch> PeerWatch::Meet(Communicator& communicator) {
  const std::string space = ProcessSpace();
  STOWAGE_ASSIGN_OR_RETURN(
      const std::vector<std::string> all,
      communicator.ExchangeText(absl::StrCat(getpid(), " ", space, " ", communicator.placement().host)));
  std::vector<PeerProcess> here;
  bool others_elsewhere = false;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const std::vector<std::string> words = absl::StrSplit(all[rank], absl::MaxSplits(' ', 2));
    PeerProcess peer;
    peer.rank = static_cast<int>(rank);
    if (words.size() != 3 || !absl::SimpleAtoi(words[0], &peer.pid)) {
      return absl::InternalError(absl::StrCat("rank ", rank,
                                              " sent no process id where one belongs: its sequence of "
                                              "collectives differs from ours"));
    }
    peer.host = words[2];
    if (words[1] != space) {
      others_elsewhere = true;
    } else if (peer.pid != getpid()) {  // ranks may be threads of one process
      here.push_back(std::move(peer));
    }
  }
  return PeerWatch(std::move(here), others_elsewhere);
}

PeerWatch::PeerWatch(std::vector<PeerProcess> here, bool others_elsewhere)
    : here_(std::move(here)), others_elsewhere_(others_elsewhere) {
  for (const PeerProcess& peer : here_) fds_.push_back(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

PeerWatch::PeerWatch(PeerWatch&& other) noexcept
    : here_(std::move(other.here_)), fds_(std::move(other.fds_)), others_elsewhere_(other.others_elsewhere_) {
  other.here_.clear();
  other.fds_.clear();
}

PeerWatch::~PeerWatch() {
  for (int fd : fds_) {
    if (fd >= 0) close(fd);
  }
}

bool PeerWatch::Ended(size_t i) const {
  if (fds_[i] < 0) return Gone(here_[i].pid);
  pollfd look{fds_[i], POLLIN, 0};
  return poll(&look, 1, 0) == 1;
}

std::optional<PeerProcess> PeerWatch::DeadPeer() const {
  for (size_t i = 0; i < here_.size(); ++i) {
    if (Ended(i)) return here_[i];
  }
  return std::nullopt;
}

std::optional<PeerProcess> PeerWatch::LivingPeer() const {
  for (size_t i = 0; i < here_.size(); ++i) {
    if (!Ended(i)) return here_[i];
  }
  return std::nullopt;
}

absl::Status PeerWatch::Health() const {
  const std::optional<PeerProcess> dead = DeadPeer();
  if (!dead.has_value()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("rank ", dead->rank, " (process ", dead->pid, " on ", dead->host, ") has died"));
}

bool PeerWatch::WaitForEnd(absl::Duration limit) const {
  const absl::Time deadline = absl::Now() + limit;
  for (const PeerProcess& peer : here_) {
    if (!WaitForEndOf(peer.rank, deadline - absl::Now())) return false;
  }
  const absl::Time collected = absl::Now() + kUntilCollected;
  for (const PeerProcess& peer : here_) {
    while (!Gone(peer.pid) && absl::Now() < collected) absl::SleepFor(kBetweenLooks);
  }
  if (others_elsewhere_) absl::SleepFor(kOtherHosts);
  return true;
}

bool PeerWatch::WaitForEndOf(int rank, absl::Duration limit) const {
  const absl::Time deadline = absl::Now() + limit;
  for (size_t i = 0; i < here_.size(); ++i) {
    if (here_[i].rank != rank) continue;
    while (!Ended(i)) {
      if (absl::Now() >= deadline) return false;
      absl::SleepFor(kBetweenLooks);
    }
  }
  return true;
}

}  // namespace stowage
