#include "trainer/breakdown/profile.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stowage {
namespace {

double Mb(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

MemoryProfile ProfileOf(const Prediction& prediction, const std::string& phase, int top) {
  MemoryProfile profile;
  profile.recompute = prediction.recompute;
  int64_t before = 0;  // what the last instruction left, of whatever phase
  bool begun = false;
  for (const InstructionPrediction& instruction : prediction.instructions) {
    if (instruction.phase == phase) {
      if (!begun) profile.start_bytes = before;
      begun = true;
      ProfileRow row;
      row.number = static_cast<int>(profile.timeline.size()) + 1;
      row.label = instruction.label;
      row.peak_bytes = instruction.total_peak_bytes;
      row.rise_bytes = row.peak_bytes - profile.start_bytes;
      row.change_bytes = instruction.total_live_bytes - before;
      profile.peak_bytes = std::max(profile.peak_bytes, row.peak_bytes);
      if (absl::StartsWith(row.label, "recompute ")) ++profile.recomputations;
      profile.timeline.push_back(std::move(row));
    }
    before = instruction.total_live_bytes;
  }
  for (const PhasePrediction& p : prediction.phases) {
    if (p.phase == phase && begun) profile.peak_bytes = std::max(profile.peak_bytes, p.total_peak_bytes);
  }
  const auto kept = static_cast<size_t>(std::max(0, top));
  if (profile.timeline.size() > kept) {
    std::stable_sort(profile.timeline.begin(), profile.timeline.end(),
                     [](const ProfileRow& a, const ProfileRow& b) { return a.rise_bytes > b.rise_bytes; });
    profile.timeline.resize(kept);
    std::sort(profile.timeline.begin(), profile.timeline.end(),
              [](const ProfileRow& a, const ProfileRow& b) { return a.number < b.number; });
  }
  return profile;
}

std::vector<std::string> ProfileLines(const MemoryProfile& profile) {
  if (profile.timeline.empty()) return {"memory profile: no instructions were rehearsed"};
  std::vector<std::string> lines = {
      absl::StrFormat("memory profile of a step: start %.1f MB, peak %.1f MB, rise %.1f MB; highest %d instructions:",
                      Mb(profile.start_bytes), Mb(profile.peak_bytes), Mb(profile.rise_bytes()),
                      static_cast<int>(profile.timeline.size())),
      absl::StrFormat("  %5s %-28s %12s %12s %12s", "#", "instruction", "peak MB", "rise MB", "change MB")};
  for (const ProfileRow& row : profile.timeline) {
    lines.push_back(absl::StrFormat("  %5d %-28s %12.1f %+12.1f %+12.1f", row.number, row.label, Mb(row.peak_bytes),
                                    Mb(row.rise_bytes), Mb(row.change_bytes)));
  }
  lines.push_back(profile.recomputations == 0
                      ? absl::StrCat("  recompute ", profile.recompute, ": no segment is run again")
                      : absl::StrCat("  recompute ", profile.recompute, ": ", profile.recomputations,
                                     " times a segment is run again for its backward"));
  return lines;
}

}  // namespace stowage
