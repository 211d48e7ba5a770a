#include "trainer/run/marks_report.h"

#include <algorithm>
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

void ReportPrediction(const Prediction& prediction, Report* report) {
  const auto raise = [](int64_t bytes, int64_t* to) { *to = std::max(*to, bytes); };
  for (const PhasePrediction& phase : prediction.phases) {
    const bool one_of_its_own =
        phase.phase == "init" || phase.phase == "eval" || phase.phase == "save" || phase.phase == "load";
    for (const std::string& name : {one_of_its_own ? phase.phase : std::string("train"), std::string("all")}) {
      std::map<std::string, int64_t>& bytes = report->predicted_phase_peak_bytes[name];
      raise(phase.total_peak_bytes, &bytes["total"]);
      for (const auto& [category, peak] : phase.peak_bytes) raise(peak, &bytes[category]);
    }
  }
  report->predicted_rss_peak_bytes = prediction.rss_peak_bytes;
}

}  // namespace stowage
