#include "trainer/calibration/outside_model.h"

#include <algorithm>
#include <map>
#include <set>

#include "memory/outside/outside_line.h"

namespace stowage {
namespace {

constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB;

// The case that is most like the query on one rank; null: there is none on one rank. `exact`: it is of the query's kind
// and precision.
const CalibratedCase* Nearest(const std::vector<CalibratedCase>& cases, const OutsideQuery& query, bool* exact) {
  const CalibratedCase* best = nullptr;
  int best_score = -1;
  for (const CalibratedCase& c : cases) {
    if (c.ranks != 1) continue;
    const int score = 2 * (c.recurrent == query.recurrent) + (c.precision == query.precision);
    if (score > best_score) best = &c, best_score = score;
  }
  *exact = best_score == 3;
  return best;
}

// What MPI adds, line by line: a case on two ranks less the same on one.
std::map<std::string, int64_t> OfMpi(const std::vector<CalibratedCase>& cases) {
  std::map<std::string, int64_t> added;
  for (const CalibratedCase& two : cases) {
    if (two.ranks != 2) continue;
    for (const CalibratedCase& one : cases) {
      if (one.ranks != 1 || one.recurrent != two.recurrent || one.precision != two.precision) continue;
      for (const char* line : {"libraries", "libraries_heap", "heap", "shared_memory", "files"}) {
        const auto with = two.bytes.find(line), without = one.bytes.find(line);
        if (with == two.bytes.end()) continue;
        const int64_t more = with->second - (without == one.bytes.end() ? 0 : without->second);
        added[line] = std::max(added[line], more);
      }
    }
  }
  return added;
}

std::string TextOf(const std::string& name) {
  for (int l = 0; l < kOutsideLines; ++l) {
    if (OutsideLineName(static_cast<OutsideLine>(l)) == name.c_str()) {
      return std::string(OutsideLineText(static_cast<OutsideLine>(l)));
    }
  }
  return name == "unexplained" ? name : "margin for what differs from run to run";
}

}  // namespace

std::vector<OutsidePrediction> PredictOutside(const FoundMachine& machine, const OutsideQuery& query) {
  bool exact = false;
  const CalibratedCase* const base = Nearest(machine.file.cases, query, &exact);
  if (base == nullptr) return {};
  std::map<std::string, int64_t> bytes = base->bytes;
  std::set<std::string> ruled;  // lines to which a rule added

  if (query.launched || query.ranks_on_host > 1) {
    const std::map<std::string, int64_t> mpi = OfMpi(machine.file.cases);
    exact = exact && !mpi.empty();
    for (const auto& [line, more] : mpi) bytes[line] += more;
    // From two ranks to four: 2.3 MiB of libraries, 0.4 of heap, 0.1 of shared memory.
    if (query.ranks_on_host > 2) {
      bytes["libraries"] += (query.ranks_on_host - 2) * 1280 * kKiB;
      bytes["shared_memory"] += (query.ranks_on_host - 2) * 64 * kKiB;
      bytes["heap"] += (query.ranks_on_host - 2) * 256 * kKiB;
      ruled.insert({"libraries", "shared_memory", "heap"});
    }
    // What reductions over MPI receive into (sharding/mpi_collectives.h): from each peer a piece of at most 4 MiB, of
    // at most 16 in all. It grows from group to group, and leaves the holes of what it was before.
    const int64_t peers = std::max(1, query.ranks_on_host - 1);
    const int64_t scratch = peers * std::min({query.part_bytes, 4 * kMiB, 16 * kMiB / peers});
    bytes["heap"] += scratch;
    bytes["heap_idle"] += 3 * scratch;
    if (scratch > 0) ruled.insert({"heap", "heap_idle"});
  }
  // A thread that was measured early has touched little of its stack; the most seen is 0.55 MiB a thread.
  bytes["thread_stacks"] = std::max(bytes["thread_stacks"], query.threads * 576 * kKiB);
  // 20 KiB of autograd nodes, names and marks a segment, and 14 KiB a step of a cell (6 segments and 256 steps, 24
  // segments: docs/calibration.md).
  bytes["heap"] += query.segments * 24 * kKiB + query.cell_steps * 16 * kKiB;
  if (query.segments + query.cell_steps > 0) ruled.insert("heap");

  // Products' buffers come and go in the heap's holes: while one is there the next needs another hole, seldom a third.
  int64_t idle = bytes["heap_idle"] + std::max<int64_t>(0, 2 * query.product_bytes - base->product_bytes);
  // What reading the data left idle serves as holes.
  const int64_t data_idle = std::max<int64_t>(0, query.data_taken_bytes - query.data_heap_bytes);
  idle = std::max(idle, data_idle + query.product_bytes / 2);
  if (query.product_bytes > 0 || data_idle > 0) ruled.insert("heap_idle");
  bytes["heap_idle"] = idle;
  bytes["heap"] += query.data_heap_bytes;
  // Code pages of kernels that the calibration's models do not use, 5 MiB, and chance: runs of the same config differ by
  // 3 MiB, and by 7 on a machine that others use.
  bytes["margin"] = 12 * kMiB;
  ruled.insert("margin");

  std::vector<OutsidePrediction> lines;
  const auto add = [&](const std::string& name) {
    const auto found = bytes.find(name);
    if (found == bytes.end() || found->second <= 0) return;
    const bool measured = exact && machine.source == Source::kMeasured && ruled.count(name) == 0;
    lines.push_back({name, TextOf(name), found->second, measured ? Source::kMeasured : Source::kEstimated});
  };
  for (int l = 0; l < kOutsideLines; ++l) add(std::string(OutsideLineName(static_cast<OutsideLine>(l))));
  add("unexplained");
  add("margin");
  return lines;
}

int64_t TotalBytes(const std::vector<OutsidePrediction>& lines) {
  int64_t total = 0;
  for (const OutsidePrediction& line : lines) total += line.bytes;
  return total;
}

}  // namespace stowage
