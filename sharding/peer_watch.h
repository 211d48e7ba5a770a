// The processes of the other ranks on this host: whether they live, and when they have ended.
//
// MPI tells nobody that a peer has died: a receive from it waits for ever. The kernel knows, so it is asked
// (pidfd_open, Linux 5.3; before that kill(pid, 0), which sees a process go when its parent has collected it). Ranks on
// other hosts, or behind another process namespace, are not watched.
//
// Owns file descriptors. Thread-safe: nothing changes after construction.
#ifndef STOWAGE_SHARDING_PEER_WATCH_H_
#define STOWAGE_SHARDING_PEER_WATCH_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sharding/communicator.h"

namespace stowage {

struct PeerProcess {
  int rank = 0;
  pid_t pid = 0;
  std::string host;
};

class PeerWatch {
 public:
  // Collective: one ExchangeText.
  static absl::StatusOr<PeerWatch> Meet(Communicator& communicator);
  // `here`: what to watch, by rank. `others_elsewhere`: there are ranks that cannot be watched.
  PeerWatch(std::vector<PeerProcess> here, bool others_elsewhere);
  ~PeerWatch();
  PeerWatch(PeerWatch&& other) noexcept;
  PeerWatch& operator=(PeerWatch&&) = delete;

  const std::vector<PeerProcess>& peers() const { return here_; }
  bool others_elsewhere() const { return others_elsewhere_; }

  // The lowest rank whose process has ended; nullopt if all live.
  std::optional<PeerProcess> DeadPeer() const;
  // The lowest rank whose process lives; nullopt if none does.
  std::optional<PeerProcess> LivingPeer() const;
  // OK, or Unavailable "rank N (process P on HOST) has died".
  absl::Status Health() const;

  // Until all watched processes have ended and their parent knows, at most `limit`; then, if there are others
  // elsewhere, for a short time that lets them end too. Whether all watched ones ended.
  bool WaitForEnd(absl::Duration limit) const;
  // Until the process of `rank` has ended, at most `limit`; whether it did.
  bool WaitForEndOf(int rank, absl::Duration limit) const;

 private:
  bool Ended(size_t i) const;

  std::vector<PeerProcess> here_;
  std::vector<int> fds_;  // of each process; -1 where the kernel gives none
  bool others_elsewhere_;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_PEER_WATCH_H_
