#include "trainer/run/marks_report.h"

#include <map>
#include <optional>
#include <string>

namespace stowage {
namespace {

std::map<std::string, int64_t> ByName(const PlacePeaks& peaks) {
  std::map<std::string, int64_t> bytes = {{"total", peaks.total}};
  for (int c = 0; c < kCategories; ++c) {
    bytes[std::string(CategoryName(static_cast<Category>(c)))] = peaks.categories[c];
  }
  return bytes;
}

}  // namespace

void ReportMarks(MemoryMarks& marks, Report* report) {
  constexpr int kMostInstructions = 10;  // as many as a person reads
  report->phase_peak_bytes = {{"all", ByName(marks.overall().host())}};
  for (int p = 0; p < kPhases; ++p) {
    const Phase phase = static_cast<Phase>(p);
    const std::optional<Peaks> peaks = marks.phase(phase);
    if (peaks) report->phase_peak_bytes[std::string(PhaseName(phase))] = ByName(peaks->host());
  }
  for (const InstructionPeaks& high : marks.Highest(kMostInstructions)) {
    report->highest_instructions.push_back({std::string(PhaseName(high.phase)), high.label.text(), high.micro_batch,
                                            high.times, ByName(high.peaks.host())});
  }
}

}  // namespace stowage
