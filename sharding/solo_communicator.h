// One rank: a sum over ranks is what is there already.
//
// All calls are done when they return. After Abort every call ends with
// kAborted and the cause. Thread-safe.
#ifndef STOWAGE_SHARDING_SOLO_COMMUNICATOR_H_
#define STOWAGE_SHARDING_SOLO_COMMUNICATOR_H_

#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "sharding/communicator.h"

namespace stowage {

class SoloCommunicator : public Communicator {
public:
  SoloCommunicator();

  absl::string_view name() const override { return "solo"; }
  const Placement &placement() const override { return placement_; }
  // There is no peer: always InvalidArgument.
  Event Send(const void *data, int64_t bytes, int to) override;
  Event Receive(void *data, int64_t bytes, int from) override;
  absl::StatusOr<std::vector<std::string>>
  ExchangeText(absl::string_view mine) override;
  absl::Status Barrier() override;
  void Abort(const absl::Status &cause) override;
  int64_t bytes_sent() const override { return 0; }

protected:
  Event Submit(const CollectiveRequest &request) override;

private:
  // OK, or what Abort was called with.
  absl::Status Health() const;

  Placement placement_;
  mutable std::mutex mu_;
  absl::Status aborted_ ABSL_GUARDED_BY(mu_);
};

} // namespace stowage

#endif // STOWAGE_SHARDING_SOLO_COMMUNICATOR_H_
