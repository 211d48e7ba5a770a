// Rank 0 of any world, without the others: for rehearsal.
//
// Collectives end at once and touch no buffer, which may be the buffers of a
// dry run: what a collective would have written stays what it was. Requests are
// checked as by any communicator. Texts are those of rank 0: every rank says
// the same as this one. `bytes_sent` counts what rank 0 would have sent.
// All ranks but as many as sit on one host are elsewhere. Thread-safe.
#ifndef STOWAGE_SHARDING_DRY_COMMUNICATOR_H_
#define STOWAGE_SHARDING_DRY_COMMUNICATOR_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "sharding/communicator.h"

namespace stowage {

// More ranks than any machine has are a mistake of the asker's.
inline constexpr int64_t kMostDryRanks = 1000000;

class DryCommunicator : public Communicator {
public:
  // 1 <= ranks_on_host <= world_size <= kMostDryRanks.
  DryCommunicator(int world_size, int ranks_on_host);

  absl::string_view name() const override { return "dry"; }
  const Placement &placement() const override { return placement_; }
  Event Send(const void *data, int64_t bytes, int to) override;
  Event Receive(void *data, int64_t bytes, int from) override;
  absl::StatusOr<std::vector<std::string>>
  ExchangeText(absl::string_view mine) override;
  absl::Status Barrier() override { return absl::OkStatus(); }
  // There is nobody to tell.
  void Abort(const absl::Status &) override {}
  int64_t bytes_sent() const override { return bytes_sent_; }

protected:
  Event Submit(const CollectiveRequest &request) override;

private:
  Placement placement_;
  std::atomic<int64_t> bytes_sent_{0};
};

} // namespace stowage

#endif // STOWAGE_SHARDING_DRY_COMMUNICATOR_H_
