#include "trainer/run/mark_difference.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"

namespace stowage {
namespace {

using Key = std::tuple<Phase, std::string, int>;  // instruction, micro-batch

struct Measured {
  int64_t first = 0, most = 0;
};

// Of one round: what was predicted of an instruction, its most over the round's phases, in the order of play.
struct Round {
  Phase phase;                      // of the run
  std::vector<std::string> phases;  // of the rehearsal
  int64_t Measured::*measured;
};

bool Holds(const Round& round, const std::string& phase) {
  return std::find(round.phases.begin(), round.phases.end(), phase) != round.phases.end();
}

}  // namespace

std::optional<MarkDifference> FirstDifference(const Prediction& prediction,
                                              const std::vector<InstructionPeaks>& marks) {
  std::map<Key, Measured> measured;
  for (const InstructionPeaks& mark : marks) {
    // Waits of one group in one step have one name.
    Measured& entry = measured[Key(mark.phase, mark.label.text(), mark.micro_batch)];
    entry.first = std::max(entry.first, mark.first_host_bytes);
    entry.most = std::max(entry.most, mark.peaks.host().total);
  }
  for (const Round& round : {Round{Phase::kTrain, {"first step"}, &Measured::first},
                             Round{Phase::kTrain, {"first step", "step", "step after eval"}, &Measured::most},
                             Round{Phase::kEval, {"eval"}, &Measured::most}}) {
    std::vector<const InstructionPrediction*> order;
    std::map<Key, int64_t> predicted;
    for (const InstructionPrediction& i : prediction.instructions) {
      if (!Holds(round, i.phase)) continue;
      const auto [at, is_new] = predicted.emplace(Key(round.phase, i.label, i.micro_batch), i.total_peak_bytes);
      // An instruction of no micro-batch may be played several times in a step.
      if (round.measured == &Measured::most) at->second = std::max(at->second, i.total_peak_bytes);
      if (is_new) order.push_back(&i);
    }
    for (const InstructionPrediction* i : order) {
      const Key key(round.phase, i->label, i->micro_batch);
      const auto found = measured.find(key);
      if (found == measured.end() || found->second.*round.measured == predicted.at(key)) continue;
      return MarkDifference{round.phases.size() > 1 ? "step" : i->phase, i->label, i->micro_batch, predicted.at(key),
                            found->second.*round.measured};
    }
  }
  return std::nullopt;
}

bool PeaksDiffer(const Report& report) {
  for (const auto& [phase, predicted] : report.predicted_phase_peak_bytes) {
    const auto measured = report.phase_peak_bytes.find(phase);
    // "all" holds phases that the rehearsal plays and the run perhaps does not: load.
    if (phase == "all" || measured == report.phase_peak_bytes.end()) continue;
    if (predicted.at("total") != measured->second.at("total")) return true;
  }
  return false;
}

std::string DifferenceWords(const MarkDifference& d) {
  std::string where = d.instruction;
  if (d.micro_batch >= 0) absl::StrAppend(&where, " of micro-batch ", d.micro_batch);
  const int64_t more = d.measured_bytes - d.predicted_bytes;
  return absl::StrCat("memory parts from its prediction at ", where, " (", d.phase, "): ", d.measured_bytes,
                      " B were held where the rehearsal held ", d.predicted_bytes, ", ",
                      HumanByteSize(more < 0 ? -more : more), more < 0 ? " less" : " more");
}

}  // namespace stowage
