// Waiting for MPI without taking a core from those who compute.
//
// Open MPI 4.1 makes progress only inside its calls, and its own waits spin.
// Ranks share cores with compute teams, so this tests, yields for a while, then
// sleeps between tests.
//
// MPI itself waits for ever for a peer that has died, so this looks after them.
//
// All but RequestAbort: only on the thread that calls MPI.
#ifndef STOWAGE_SHARDING_MPI_WAITER_H_
#define STOWAGE_SHARDING_MPI_WAITER_H_

#include <atomic>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sharding/mpi_status.h"
#include "sharding/peer_watch.h"

namespace stowage {

class MpiWaiter {
public:
  // From now on `peers`, which must outlive this, are looked after.
  void Watch(const PeerWatch *peers) { peers_ = peers; }

  // Waits for all of `requests`; `statuses`, if given, gets theirs. `during`
  // says what for, in messages. Unavailable, with PeerWatch's words, where a
  // peer has died. After an error the requests are left as they are, and so are
  // their buffers: only Abort may follow.
  absl::Status WaitAll(std::vector<MPI_Request> &requests, int rank,
                       absl::string_view during,
                       std::vector<MPI_Status> *statuses = nullptr);

  // Calls `done` until it says so, as patiently. Its error, or Unavailable
  // where a peer has died.
  absl::Status WaitUntil(const std::function<absl::StatusOr<bool>()> &done);

  // Any thread: the next test ends all ranks by MPI_Abort, whatever is being
  // waited for.
  void RequestAbort() { abort_ = true; }
  // Does what RequestAbort asked for, if it did.
  void AbortIfRequested() const;

private:
  const PeerWatch *peers_ = nullptr;
  std::atomic<bool> abort_{false};
};

} // namespace stowage

#endif // STOWAGE_SHARDING_MPI_WAITER_H_
