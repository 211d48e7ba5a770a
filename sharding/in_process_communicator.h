// A rank that is a thread of this process: for tests, examples, and two
// trainers in one program.
//
// Each communicator has a lane of its own, so events really are pending until
// all ranks have come. Ranks that make different calls get InvalidArgument with
// both calls, instead of a hang. Abort, and destruction, end what waits and all
// later calls of every rank with kAborted and this rank's message: wait for
// your events before you destroy a communicator.
#ifndef STOWAGE_SHARDING_IN_PROCESS_COMMUNICATOR_H_
#define STOWAGE_SHARDING_IN_PROCESS_COMMUNICATOR_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "sharding/collective_request.h"
#include "sharding/communicator.h"
#include "sharding/in_process_group.h"
#include "sharding/lane.h"

namespace stowage {

class InProcessCommunicator : public Communicator {
public:
  InProcessCommunicator(std::shared_ptr<InProcessGroup> group,
                        int rank); // by InProcessGroup::Create
  ~InProcessCommunicator() override;

  absl::string_view name() const override { return "in-process"; }
  const Placement &placement() const override { return placement_; }
  Event Send(const void *data, int64_t bytes, int to) override;
  Event Receive(void *data, int64_t bytes, int from) override;
  absl::StatusOr<std::vector<std::string>>
  ExchangeText(absl::string_view mine) override;
  absl::Status Barrier() override;
  void Abort(const absl::Status &cause) override;
  int64_t bytes_sent() const override { return bytes_sent_; }

protected:
  Event Submit(const CollectiveRequest &request) override;

private:
  // On the lane, from here on. `texts`: where the answer of exchange_text goes,
  // else null.
  absl::Status Play(const CollectiveRequest &request, std::string text,
                    std::vector<std::string> *texts);
  absl::Status CheckAllAskTheSame() const;
  void Move(const CollectiveRequest &request, std::vector<std::string> *texts);
  // Reduces elements [begin, begin + numel) of all ranks' inputs into `out`, in
  // rank order.
  void Reduce(const CollectiveRequest &request, int64_t begin, int64_t numel,
              void *out) const;

  const std::shared_ptr<InProcessGroup> group_;
  Placement placement_;
  std::atomic<int64_t> bytes_sent_{0};
  Lane lane_; // last: its work uses all the others
};

} // namespace stowage

#endif // STOWAGE_SHARDING_IN_PROCESS_COMMUNICATOR_H_
