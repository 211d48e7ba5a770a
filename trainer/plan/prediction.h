// What a rehearsal came to: the bytes that a run will hold, before it holds any.
//
// Plain data. Bytes, of one rank (rank 0, whose part is never smaller than another's). A number whose source is not
// there is nullopt or left out, never 0.
#ifndef STOWAGE_TRAINER_PLAN_PREDICTION_H_
#define STOWAGE_TRAINER_PLAN_PREDICTION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stowage {

// How a number was come by.
enum class Source : uint8_t {
  kRehearsed,  // counted in a dry run of the code that will run
  kMeasured,   // on the machine that it is meant for
  kEstimated,  // by a fit, or from another machine
};

// Most bytes of tensors held at once in a phase.
struct PhasePrediction {
  std::string phase;                          // init, first step, step, eval, save, load
  std::map<std::string, int64_t> peak_bytes;  // category -> its own peak
  int64_t total_peak_bytes = 0;               // of all together: at most the sum of the above
  std::string peak_instruction;               // "backward h.3.attn"; empty: between instructions
};

// One instruction of a phase, in the order in which they are played.
struct InstructionPrediction {
  std::string phase;
  std::string label;                          // "backward h.3.attn"
  int micro_batch = -1;                       // -1: of none
  std::map<std::string, int64_t> live_bytes;  // category -> held when it is over
  // category -> held when all together were at their most within it. Looked at before blocks of 256 KiB and more are
  // freed: the sum may be less than total_peak_bytes by so much.
  std::map<std::string, int64_t> peak_bytes;
  int64_t total_live_bytes = 0;
  int64_t total_peak_bytes = 0;
};

// Bytes that no tensor accounts for: libraries, stacks, heap, idle pages of the pool.
struct OutsidePrediction {
  std::string name;  // as in report.json: "libraries"
  std::string text;  // for people: "libraries' code and data"
  int64_t bytes = 0;
  Source source = Source::kEstimated;
};

// An operator whose memory inside was not measured: where it was called with so much, that counts as nothing.
struct AssumedWorkspace {
  std::string name;            // "aten::convolution"
  int64_t argument_bytes = 0;  // the most that one call had
};

// A schedule that was proved sound (trainer/schedule/verifier.h) as the run will play it, with all its micro-batches.
struct VerifiedSchedule {
  std::string name;  // "train step"
  int micro_batches = 0;
  int64_t instructions = 0;
};

// What one change of the config would give. Rehearsed, not guessed.
struct Hint {
  std::string key;          // "train.micro_batch"
  std::string from, to;     // values, as in YAML
  int64_t saves_bytes = 0;  // of the predicted peak
  bool fits = false;        // with this change alone
  std::string note;         // what else it changes: "the losses' bits"; may be empty
};

// One budget against what is predicted for it.
struct BudgetVerdict {
  std::string key;                     // "memory.host"
  std::string asked;                   // as in the config: "80%"
  std::optional<int64_t> limit_bytes;  // nullopt: there is no bound
  std::string limit_source;            // where it comes from: "80 % of the memory cgroup's 8 GiB"
  int64_t need_bytes = 0;
  // The first instruction that would hold more tensors than the budget has room for, in words; empty: none, or there is
  // no bound.
  std::string first_over;
  bool fits() const { return !limit_bytes.has_value() || need_bytes <= *limit_bytes; }
};

struct Prediction {
  std::string config;  // its path, or its name
  std::string model;   // "gpt2: 124439808 parameters"
  int world_size = 1;
  int threads = 1;
  int64_t global_batch = 0, micro_batch = 0;
  int micro_batches_per_rank = 0;
  std::string precision;
  std::string zero, recompute;

  std::vector<PhasePrediction> phases;
  std::vector<InstructionPrediction> instructions;
  int64_t tensors_peak_bytes = 0;  // of all phases
  // Pages that the pool below the tensors holds at its most: tensors, rounding to blocks and pages, and idle pages.
  std::optional<int64_t> pool_peak_bytes;
  std::vector<AssumedWorkspace> assumed;    // what a rehearsal could not measure; empty: nothing
  std::vector<VerifiedSchedule> schedules;  // that were proved sound
  std::vector<OutsidePrediction> outside;   // at that moment; empty: nothing is known of this machine
  std::optional<int64_t> rss_peak_bytes;    // VmHWM: tensors and outside; nullopt: outside is unknown
  std::string machine;                      // whose outside bytes these are
  std::string machine_remark;               // why they are estimates, and what to do; empty: they are not
  std::vector<BudgetVerdict> budgets;
  std::vector<Hint> hints;  // the one that gives most first; empty where all fits
  std::string breakdown;    // trainer/breakdown's table, line by line: formulas beside what was rehearsed; may be empty
  double seconds = 0.0;     // that the rehearsal took

  bool fits() const {
    for (const BudgetVerdict& b : budgets) {
      if (!b.fits()) return false;
    }
    return true;
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PREDICTION_H_
