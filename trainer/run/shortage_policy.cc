#include "trainer/run/shortage_policy.h"

namespace stowage {

ShortagePolicy::Next ShortagePolicy::Voided() {
  ++voided_;
  if (!fixed_ && micro_batch_ > 1) {
    micro_batch_ = (micro_batch_ + 1) / 2;
    return Next::kRepeatSmaller;
  }
  if (repeated_as_it_was_) return Next::kSaveAndEnd;
  repeated_as_it_was_ = true;
  return Next::kRepeatAsItWas;
}

absl::string_view CauseOf(absl::string_view shortage) { return shortage.substr(0, shortage.find(';')); }

}  // namespace stowage
