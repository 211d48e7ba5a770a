// Verifies each schedule once, however often it is played.
//
// A schedule is written anew only when the number of micro-batches changes, and a trainer plays few kinds in turn; so
// the last few that passed are kept, whole, and one that equals them is not walked again. Comparing is much cheaper
// than verifying, which is much cheaper than a step.
//
// For one model. Not thread-safe. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_VERIFIED_SCHEDULES_H_
#define STOWAGE_TRAINER_SCHEDULE_VERIFIED_SCHEDULES_H_

#include <cstdint>
#include <deque>
#include <utility>

#include "absl/status/status.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

class VerifiedSchedules {
 public:
  explicit VerifiedSchedules(ModelShape model) : model_(std::move(model)) {}

  // Verify's status. One that was refused is walked again when it comes again.
  absl::Status Check(const Schedule& schedule);

  // How many were walked.
  int64_t walks() const { return walks_; }

 private:
  // A step, an evaluation, and their leftovers at an epoch's end.
  static constexpr int kKept = 4;

  const ModelShape model_;
  std::deque<Schedule> passed_;  // the newest last
  int64_t walks_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_VERIFIED_SCHEDULES_H_
