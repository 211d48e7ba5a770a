#include "trainer/schedule/verified_schedules.h"

#include <algorithm>

#include "base/status_macros.h"
#include "trainer/schedule/verifier.h"

namespace stowage {

absl::Status VerifiedSchedules::Check(const Schedule& schedule) {
  if (std::find(passed_.begin(), passed_.end(), schedule) != passed_.end()) return absl::OkStatus();
  ++walks_;
  STOWAGE_RETURN_IF_ERROR(Verify(schedule, model_));
  if (passed_.size() == kKept) passed_.pop_front();
  passed_.push_back(schedule);
  return absl::OkStatus();
}

}  // namespace stowage
