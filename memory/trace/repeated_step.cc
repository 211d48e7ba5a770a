#include "memory/trace/repeated_step.h"

#include <algorithm>
#include <deque>
#include <map>

#include "absl/strings/str_cat.h"

namespace stowage {

absl::StatusOr<RepeatedStep> RepeatLastStep(const AllocationTrace& trace) {
  if (trace.steps.size() < 2) {
    return absl::FailedPreconditionError(
        absl::StrCat("the trace of ", trace.name, " has no whole step: ", trace.steps.size(), " begin"));
  }
  const int64_t first = trace.steps[trace.steps.size() - 2], last = trace.steps.back();
  RepeatedStep out;
  std::map<int32_t, int64_t> live;              // block -> bytes
  std::map<int64_t, std::deque<int32_t>> left;  // bytes -> older blocks that the step frees, in order
  int32_t step_begins_with = 0;
  int64_t live_bytes = 0;
  for (int64_t i = 0; i < last; ++i) {
    const AllocationEvent& event = trace.events[i];
    const bool in_step = i >= first;
    if (i == first) step_begins_with = out.slots;
    (in_step ? out.step : out.before).push_back({event.block, event.bytes});
    if (event.bytes > 0) {
      live.emplace(event.block, event.bytes);
      live_bytes += event.bytes;
      out.slots = std::max(out.slots, event.block + 1);
      out.allocations += in_step;
      out.allocated_bytes += in_step ? event.bytes : 0;
    } else {
      const int64_t bytes = live.at(event.block);
      live_bytes -= bytes;
      if (in_step && event.block < step_begins_with) left[bytes].push_back(event.block);
      live.erase(event.block);
    }
    out.peak_live_bytes = std::max(out.peak_live_bytes, live_bytes);
  }
  for (const auto& [block, bytes] : live) {
    if (block < step_begins_with) continue;
    std::deque<int32_t>& older = left[bytes];
    if (older.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the last step of ", trace.name, " leaves a block behind that it did not find: ", bytes, " bytes"));
    }
    out.carry.emplace_back(block, older.front());
    older.pop_front();
  }
  for (const auto& [bytes, blocks] : left) {
    if (!blocks.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("the last step of ", trace.name, " frees ", blocks.size(),
                                                        " blocks of ", bytes, " bytes that it does not leave behind"));
    }
  }
  return out;
}

}  // namespace stowage
