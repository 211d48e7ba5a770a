// Ranks that are processes, started by mpirun or srun.
//
// One lane makes all MPI calls, from MPI_Init_thread to MPI_Finalize; calls are
// queued to it and done one after another. It sleeps while it waits (see
// mpi_waiter.h): ranks share cores with those who compute. Messages are pieces
// of at most 4 MiB, so no size overflows MPI's counts, and scratch is bounded
// by 16 MiB (4 KiB per peer where that is more).
//
// Ranks that make different calls get InvalidArgument where messages cross,
// else wait for each other: broadcast and barrier are MPI's own. While it
// waits, it watches the processes of the ranks on its host: when one dies, the
// call under way and all later ones end with Unavailable "rank N (process P on
// HOST) has died". Destroy it on all ranks (that waits for all of them), or end
// with Abort. After an error the destructor leaves MPI unfinalised, which
// mpirun takes for a failure of the job: it never waits for peers that may be
// gone.
#ifndef STOWAGE_SHARDING_MPI_COMMUNICATOR_H_
#define STOWAGE_SHARDING_MPI_COMMUNICATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sharding/collective_request.h"
#include "sharding/communicator.h"
#include "sharding/lane.h"

namespace stowage {

class MpiCommunicator : public Communicator {
public:
  // Long enough for full bandwidth (latency is microseconds, 4 MiB take 1 ms),
  // short enough that the next rank's sum can start soon.
  static constexpr int64_t kPieceBytes = int64_t{4} << 20;

  // Collective over all ranks of the launcher. Once per process.
  // `piece_bytes`: the longest message, a multiple of 8; tests make it small.
  static absl::StatusOr<std::unique_ptr<MpiCommunicator>>
  Create(int64_t piece_bytes = kPieceBytes);
  ~MpiCommunicator() override;

  absl::string_view name() const override { return "mpi"; }
  const Placement &placement() const override { return placement_; }
  // A peer that gave another size: the receiver's event says so, and its
  // communicator is unusable from there on.
  Event Send(const void *data, int64_t bytes, int to) override;
  Event Receive(void *data, int64_t bytes, int from) override;
  absl::StatusOr<std::vector<std::string>>
  ExchangeText(absl::string_view mine) override;
  absl::Status Barrier() override;
  // Does not return. After a peer's death one rank of the host speaks, and this
  // process ends within 2 s even if mpirun no longer answers. May be called on
  // any thread but the lane.
  void Abort(const absl::Status &cause) override;
  int64_t bytes_sent() const override;

protected:
  Event Submit(const CollectiveRequest &request) override;

private:
  struct State; // what the lane uses: MPI's types stay out of this header

  MpiCommunicator();
  // Queues work for the lane, which looks after messages while it has none.
  Event Queue(std::function<absl::Status()> work);
  Event QueueMessage(bool is_send, void *data, int64_t bytes, int peer);
  void AttendMessages();
  bool MaySpeakOfDeath() const;

  Placement placement_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Lane> lane_;
};

// The first line of what the MPI library says it is. Needs no MPI_Init, and no
// communicator.
std::string MpiLibraryVersion();

} // namespace stowage

#endif // STOWAGE_SHARDING_MPI_COMMUNICATOR_H_
