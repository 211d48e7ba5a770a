// report.json: what a run came to. Written when a run ends, finished or stopped.
#ifndef STOWAGE_TRAINER_METRICS_REPORT_H_
#define STOWAGE_TRAINER_METRICS_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/metrics/memory_table.h"

namespace stowage {

// memory.allocator: planned. Counts are of blocks, over all steps that followed a plan.
struct PlannedArena {
  int64_t arena_bytes = 0;
  int64_t peak_live_bytes = 0;  // arena_bytes can be no less
  int64_t steps = 0;
  int64_t served = 0;     // from the arena
  int64_t fallbacks = 0;  // from the pool, since the plan did not foresee them
};

// An instruction that held much.
struct HighInstruction {
  std::string phase;                          // "train"
  std::string instruction;                    // "backward h.3.attn"
  int micro_batch = -1;                       // -1: of none, or of all
  int64_t times = 0;                          // played
  std::map<std::string, int64_t> peak_bytes;  // "total" and by category
};

// Where what was held first parted from what the rehearsal had said.
struct MarkDifference {
  std::string phase;        // of the rehearsal: "first step"
  std::string instruction;  // "forward h.3.attn"
  int micro_batch = -1;     // -1: of none, or of all
  int64_t predicted_bytes = 0;
  int64_t measured_bytes = 0;  // at its most within the instruction
};

// Plain data. What is nullopt or an empty map is not in the file: a field whose source is not there is absent, never 0.
struct Report {
  bool finished = false;                  // all steps done; false: stopped, to be resumed
  std::optional<int> stop_signal;         // that stopped it
  int64_t steps = 0;                      // steps done, those before a resume included
  std::optional<int64_t> skipped_steps;   // of them, since the run began, those that updated nothing
  std::optional<int64_t> voided_steps;    // how often a step of this process ran out of memory and was repeated
  std::optional<int64_t> micro_batch;     // in force at the end, in samples
  std::optional<double> last_loss;        // of the last step; null in the file if not finite
  std::optional<double> validation_loss;  // of the last evaluation
  double seconds = 0.0;                   // of this process, from start to report
  int64_t tokens = 0;                     // loss terms of this process's steps, all ranks
  std::optional<double> tokens_per_second;
  std::map<std::string, int64_t> measured_peak_bytes;  // category -> most bytes held at once in a step, rank 0
  // The same by phase (init, train, eval, save, load; "all": from start to end), with the "total" of each.
  std::map<std::string, std::map<std::string, int64_t>> phase_peak_bytes;
  // The same as the rehearsal before the run had it, and its VmHWM; "predicted" in the file, beside "measured".
  std::map<std::string, std::map<std::string, int64_t>> predicted_phase_peak_bytes;
  std::optional<int64_t> predicted_rss_peak_bytes;
  std::optional<MarkDifference> first_difference;  // rank 0's; nullopt: no instruction differs, or none was rehearsed
  std::vector<HighInstruction> highest_instructions;  // of rank 0, the highest first
  std::optional<PlannedArena> planned;                // rank 0's, where steps followed a plan
  int64_t rss_peak_bytes = 0;                         // VmHWM of rank 0
  std::optional<MemoryTable> memory;                  // what it was made of, rank 0
  int world_size = 1;
  int threads = 1;                              // per rank
  std::map<std::string, std::string> versions;  // "stowage", "libtorch", "mpi", "cpu"... -> text
};

// Durable, all or nothing: a report that was there before stays until this one is on disk.
absl::Status WriteReport(const std::string& path, const Report& report);

// Whether a finished run's report lies at `path`. No file: false. DataLoss: it is no report.
absl::StatusOr<bool> ReportSaysFinished(const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_REPORT_H_
