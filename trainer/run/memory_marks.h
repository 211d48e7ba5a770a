// High-water marks of a run: by phase, by step and by instruction; and the trace of its first steps.
//
// The executor knows no phases and the ledger no instructions; here both meet. One per run and rank, on the one thread
// that runs it. Ranks that share a process share its ledger too: each then marks what all of them hold.
#ifndef STOWAGE_TRAINER_RUN_MEMORY_MARKS_H_
#define STOWAGE_TRAINER_RUN_MEMORY_MARKS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "memory/ledger_marks.h"
#include "memory/memory_trace.h"
#include "memory/name_scope.h"
#include "trainer/executor/observer.h"
#include "trainer/schedule/planner.h"

namespace stowage {

enum class Phase : uint8_t {
  kInit,   // all that comes before the first step: data, model
  kTrain,  // steps, and what lies between them
  kEval,
  kSave,
  kLoad,  // a checkpoint, or weights of others
};
inline constexpr int kPhases = 5;
// init, train, eval, save, load.
absl::string_view PhaseName(Phase phase);

// Of one instruction on one micro-batch.
struct InstructionPeaks {
  Phase phase = Phase::kTrain;
  Label label;                   // "forward h.3.attn"
  int micro_batch = -1;          // -1: of none, or all of an evaluation together
  int64_t times = 0;             // played
  Peaks peaks;                   // over all steps
  int64_t first_host_bytes = 0;  // the host's peak when it was played for the first time
  int64_t last_step = 0;         // the last one that it was played in; 0: in none (an evaluation)
  Peaks last_step_peaks;
};

class MemoryMarks final : public InstructionObserver {
 public:
  // Borrows `marks`. The phase is init.
  explicit MemoryMarks(LedgerMarks& marks);
  ~MemoryMarks() override;
  MemoryMarks(const MemoryMarks&) = delete;
  MemoryMarks& operator=(const MemoryMarks&) = delete;

  // Names of segments and groups, before anything is played.
  void SetModel(const ModelShape& model) { model_ = model; }
  // Records the first `steps` that are played, for files in `folder`. 0: none.
  void Trace(int64_t steps, const std::string& folder) {
    steps_to_trace_ = steps;
    trace_folder_ = folder;
  }

  void Before(const Instruction& instruction) override;
  void After(const Instruction& instruction) override;

  // Between the two, instructions are of step `step` (from 1 on). EndStep returns the step's peaks.
  void BeginStep(int64_t step);
  Peaks EndStep();

  // Whether all steps that were to be traced have been, and the files are not written yet.
  bool trace_is_due() const { return steps_to_trace_ > 0 && steps_traced_ >= steps_to_trace_; }
  // Writes memory.trace.json and memory.csv (see MemoryTrace) of what was recorded so far, and ends the tracing. OK if
  // nothing was to be traced, or the files are written already.
  absl::Status WriteTrace();

  Peaks overall() { return marks_.Overall(); }
  // Up to now; nullopt: there was no such phase.
  std::optional<Peaks> phase(Phase phase);
  // By most bytes held on the host over all steps; at most `count`.
  std::vector<InstructionPeaks> Highest(int count) const;
  std::vector<InstructionPeaks> instructions() const;

 private:
  friend class PhaseScope;
  using Key = std::tuple<Phase, Op, int, int>;  // target, micro-batch

  Phase SwitchTo(Phase phase);  // returns the one before
  std::string LabelOf(const Instruction& instruction) const;
  bool tracing() const { return step_ > 0 && steps_traced_ < steps_to_trace_; }

  LedgerMarks& marks_;
  ModelShape model_;
  Phase phase_ = Phase::kInit;
  std::array<Peaks, kPhases> phases_;
  std::array<bool, kPhases> had_phase_{};
  std::map<Key, InstructionPeaks> instructions_;
  std::map<int, int> group_of_event_;

  // Of the step, and of the instruction that is being played.
  int64_t step_ = 0;  // 0: none
  Peaks step_peaks_;
  int64_t step_start_ns_ = 0;
  LiveBytes live_at_step_start_;
  InstructionPeaks* current_ = nullptr;
  Peaks current_peaks_;
  int64_t start_ns_ = 0;
  LiveBytes live_at_start_;
  std::optional<InstructionScope> scope_;

  MemoryTrace trace_;
  std::string trace_folder_;
  int64_t steps_to_trace_ = 0;
  int64_t steps_traced_ = 0;
};

// The run is in `phase` for as long as it lives, and then again in the one before. Phases exclude each other: what is
// loaded while a run is being set up belongs to load, not to init.
class PhaseScope {
 public:
  PhaseScope(MemoryMarks& marks, Phase phase) : marks_(marks), outer_(marks.SwitchTo(phase)) {}
  ~PhaseScope() { marks_.SwitchTo(outer_); }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  MemoryMarks& marks_;
  const Phase outer_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MEMORY_MARKS_H_
