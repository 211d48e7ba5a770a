#include "sharding/mpi_waiter.h"

#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/status_macros.h"

namespace stowage {
namespace {

using Clock = std::chrono::steady_clock;

// A small message between two ranks that both run takes a few microseconds:
// yielding this long catches it.
constexpr auto kYieldFor = std::chrono::microseconds(50);
// Then a peer computes. A sleep takes 50 us more than asked (the kernel's timer
// slack), so a shorter one gains nothing; longer ones would be felt: a round of
// 4 MiB takes about 1 ms.
constexpr auto kFirstSleep = std::chrono::microseconds(50);
constexpr auto kLongSleep = std::chrono::microseconds(100);
constexpr auto kLongAfter = std::chrono::milliseconds(5);

// A person who waits does not feel it, and a look, one system call per local
// peer, costs nothing at this pace.
constexpr auto kBetweenLooks = std::chrono::milliseconds(100);

void BackOff(Clock::time_point since) {
  const auto waited = Clock::now() - since;
  if (waited < kYieldFor) {
    sched_yield();
  } else {
    std::this_thread::sleep_for(waited < kLongAfter ? kFirstSleep : kLongSleep);
  }
}

} // namespace

void MpiWaiter::AbortIfRequested() const {
  if (abort_)
    MPI_Abort(MPI_COMM_WORLD, 1);
}

absl::Status
MpiWaiter::WaitUntil(const std::function<absl::StatusOr<bool>()> &done) {
  const Clock::time_point since = Clock::now();
  Clock::time_point looked = since;
  while (true) {
    AbortIfRequested();
    STOWAGE_ASSIGN_OR_RETURN(const bool is_done, done());
    if (is_done)
      return absl::OkStatus();
    if (peers_ != nullptr && Clock::now() - looked >= kBetweenLooks) {
      STOWAGE_RETURN_IF_ERROR(peers_->Health());
      looked = Clock::now();
    }
    BackOff(since);
  }
}

absl::Status MpiWaiter::WaitAll(std::vector<MPI_Request> &requests, int rank,
                                absl::string_view during,
                                std::vector<MPI_Status> *statuses) {
  std::vector<MPI_Status> seen(requests.size());
  STOWAGE_RETURN_IF_ERROR(WaitUntil([&]() -> absl::StatusOr<bool> {
    int done = 0;
    const int result = MPI_Testall(static_cast<int>(requests.size()),
                                   requests.data(), &done, seen.data());
    if (result == MPI_ERR_IN_STATUS) {
      for (const MPI_Status &status : seen) {
        if (status.MPI_ERROR != MPI_SUCCESS &&
            status.MPI_ERROR != MPI_ERR_PENDING) {
          return MpiStatus(status.MPI_ERROR, "MPI_Testall", rank, during);
        }
      }
    }
    STOWAGE_RETURN_IF_ERROR(MpiStatus(result, "MPI_Testall", rank, during));
    return done != 0;
  }));
  if (statuses != nullptr)
    *statuses = std::move(seen);
  return absl::OkStatus();
}

} // namespace stowage
