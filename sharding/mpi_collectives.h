// The collectives as rounds of messages between pairs.
//
// MPI's own reductions may take ranks in any order, and know no bf16; ours
// exchange parts and reduce them in rank order, so that the bits are those of
// one process adding rank 0, 1, ... n-1. The owner of a part receives it from
// all peers, a piece at a time, into a scratch buffer of fixed size.
//
// Only on the thread that calls MPI. Collective.
#ifndef STOWAGE_SHARDING_MPI_COLLECTIVES_H_
#define STOWAGE_SHARDING_MPI_COLLECTIVES_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sharding/collective_request.h"
#include "sharding/mpi_exchange.h"
#include "sharding/mpi_status.h"
#include "sharding/mpi_waiter.h"

namespace stowage {

class MpiCollectives {
public:
  // `piece_bytes`: the longest message, a multiple of 8. Scratch is at most
  // max(4 * piece_bytes, 4 KiB per peer).
  MpiCollectives(MPI_Comm comm, int rank, int world_size, int64_t piece_bytes,
                 MpiWaiter &waiter);

  absl::Status Play(const CollectiveRequest &request);
  absl::StatusOr<std::vector<std::string>> ExchangeText(absl::string_view mine);

  int64_t bytes_sent() const { return bytes_sent_; } // any thread

private:
  // Where each rank's part of a buffer lies, in bytes.
  struct Parts {
    std::vector<int64_t> begin;
    std::vector<int64_t> bytes;
    int64_t largest = 0;
  };
  Parts PartsOf(const CollectiveRequest &request) const;

  absl::Status ReduceScatter(const CollectiveRequest &request,
                             const Parts &parts, const char *whole, char *out);
  // Every rank's part goes from its own `mine` into everyone's `whole`.
  absl::Status AllGather(const CollectiveRequest &request, const Parts &parts,
                         const char *mine, char *whole);
  absl::Status AllToAll(const CollectiveRequest &request);
  absl::Status Broadcast(const CollectiveRequest &request);
  absl::Status Barrier(const CollectiveRequest &request);
  MpiExchange Exchange(const CollectiveRequest &request) const;

  const MPI_Comm comm_;
  const int rank_;
  const int world_size_;
  const int64_t piece_bytes_;
  MpiWaiter &waiter_;
  int64_t sequence_ = 0;
  std::vector<char> scratch_;
  std::atomic<int64_t> bytes_sent_{0};
};

} // namespace stowage

#endif // STOWAGE_SHARDING_MPI_COLLECTIVES_H_
