// One round of messages between this rank and its peers: bytes out, bytes in, and a check that the peers mean the
// same call.
//
// Receives take any tag and look at it afterwards: a peer that is in another call is named, where matching by tag
// would wait for ever. Only on the thread that calls MPI.
#ifndef STOWAGE_SHARDING_MPI_EXCHANGE_H_
#define STOWAGE_SHARDING_MPI_EXCHANGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "sharding/mpi_status.h"
#include "sharding/mpi_waiter.h"

namespace stowage {

class MpiExchange {
 public:
  // `kind` and `sequence`: what this call does and how many calls came before it. `during`: the same for people.
  MpiExchange(MPI_Comm comm, MpiWaiter& waiter, int rank, int kind, int64_t sequence, std::string during);

  // Queue one message; at most kMaxBytes. Zero bytes: no message, on either side.
  // A peer's messages arrive in the order in which it sent them.
  absl::Status Receive(void* data, int64_t bytes, int from);
  absl::Status Send(const void* data, int64_t bytes, int to);
  // Until all that is queued is done.
  absl::Status Finish();

  // MPI counts in int; larger buffers go in rounds.
  static constexpr int64_t kMaxBytes = int64_t{1} << 30;

 private:
  struct Expected {
    int from;
    int64_t bytes;
  };

  absl::Status CheckReceived(const MPI_Status& status, const Expected& expected) const;

  const MPI_Comm comm_;
  MpiWaiter& waiter_;
  const int rank_;
  const int tag_;
  const std::string during_;
  std::vector<Expected> expected_;  // of the receives, in the order of receives_
  std::vector<MPI_Request> receives_;
  std::vector<MPI_Request> sends_;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_MPI_EXCHANGE_H_
