// What each instruction and each phase of a rehearsal holds.
//
// One per rehearsal, on its thread; the process's free watch is this one's for as long as it lives.
#ifndef STOWAGE_TRAINER_RUN_REHEARSAL_RECORDER_H_
#define STOWAGE_TRAINER_RUN_REHEARSAL_RECORDER_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "memory/category.h"
#include "memory/free_watch.h"
#include "memory/ledger_marks.h"
#include "trainer/executor/observer.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/memory_marks.h"

namespace stowage {

class RehearsalRecorder final : public InstructionObserver, private FreeWatch {
 public:
  // Borrows both.
  RehearsalRecorder(LedgerMarks& marks, MemoryMarks& memory);
  ~RehearsalRecorder() override;
  RehearsalRecorder(const RehearsalRecorder&) = delete;
  RehearsalRecorder& operator=(const RehearsalRecorder&) = delete;

  // From here on it is `phase`, which ends the one before; `micro_batches` says which of the run's each one played
  // stands for (empty: instructions are not told by micro-batch).
  void BeginPhase(const std::string& phase, std::vector<int> micro_batches = {});
  // Ends the last phase; then these are whole.
  void End();
  const std::vector<PhasePrediction>& phases() const { return phases_; }
  const std::vector<InstructionPrediction>& instructions() const { return instructions_; }

  void Before(const Instruction& instruction) override;
  void After(const Instruction& instruction) override;

  // What other threads have allocated so far is none of the model's: they read data.
  void DataWasRead();
  // What a rehearsal cannot play truly, once it has happened, naming the instruction. FailedPrecondition: another
  // thread allocated tensors within one, for real and uncounted in the next ones.
  absl::Status status() const { return status_; }
  // To be called after each step. FailedPrecondition: more activations are held than after the step before, so that
  // what a run holds depends on its length; which instruction made them.
  absl::Status EndStep();

 private:
  void BeforeFree() override { Look(); }
  // Keeps what is held now if it is the most since the instruction began.
  void Look();

  LedgerMarks& marks_;
  MemoryMarks& memory_;
  FreeWatch* const before_;
  std::vector<PhasePrediction> phases_;
  std::vector<InstructionPrediction> instructions_;
  std::vector<int> micro_batches_;
  int64_t phase_highest_ = 0;  // of its instructions
  bool in_phase_ = false;
  int64_t others_ = 0;  // allocations of other threads when the instruction began
  absl::Status status_;
  std::optional<std::map<std::string, int64_t>> left_;  // by the last step, by the instruction that made it
  int64_t left_bytes_ = 0;
  Peaks phase_peaks_;
  Peaks instruction_peaks_;
  LedgerSnapshot highest_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_REHEARSAL_RECORDER_H_
