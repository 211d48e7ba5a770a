// memory.allocator: planned. Decides which training steps are recorded, which follow a plan, and which do neither.
//
//   steps.Begin(key);        // before a step's first tensor
//   ... the step, on this thread ...
//   steps.End(status.ok());  // after its last
//
// A key says what the step's blocks depend on (here the sizes of its micro-batches): steps of equal keys are expected
// to ask for the same blocks. A step is recorded, and its blocks are packed, if the step before had the same key (the
// first one allocates what lives on); from then on steps of that key follow the plan. A step of another key (an epoch's
// leftover) runs from the pool, and a second one in a row is recorded in its turn. Bits do not depend on any of it.
#ifndef STOWAGE_TRAINER_RUN_PLANNED_STEPS_H_
#define STOWAGE_TRAINER_RUN_PLANNED_STEPS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory/planned/lifetime_recorder.h"
#include "memory/planned/planned_source.h"
#include "memory/pool/pool.h"

namespace stowage {

// One per trainer, on the trainer's thread.
class PlannedSteps {
 public:
  using Key = std::vector<int64_t>;

  // `pool`, borrowed, gives all bytes; null: Begin and End do nothing (memory.allocator: online). `log` gets a line per
  // plan.
  PlannedSteps(Pool* pool, std::function<void(const std::string&)> log);
  // Between steps. What still has live blocks is kept to the process's end.
  ~PlannedSteps();

  void Begin(const Key& key);
  // `ok`: the step was played to its end; the record of another is no plan.
  void End(bool ok);

  // Between steps: the plan goes, and with it the arena, and steps are recorded anew. For steps that will ask for other
  // blocks from here on, and for when memory is short.
  void Forget();

  // Whether there was a plan at all.
  bool planned() const { return plans_ > 0; }
  // What came of it, in a line.
  std::string Summary() const;
  // Counts of all plans; arena and peak of the newest.
  PlannedStatistics statistics() const;

 private:
  enum class Doing { kNothing, kRecording, kPlaying };

  void MakePlan(const Lifetimes& lifetimes);
  // The plan in use goes; its counts stay.
  void Retire();

  Pool* const pool_;
  const std::function<void(const std::string&)> log_;
  std::unique_ptr<LifetimeRecorder> recorder_;
  std::unique_ptr<PlannedSource> source_;                // null: no plan yet
  std::vector<std::unique_ptr<PlannedSource>> retired_;  // whose blocks are not all freed
  PlannedStatistics past_;                               // of plans that went
  int64_t plans_ = 0;
  Key plan_key_, last_key_;
  Doing doing_ = Doing::kNothing;
  bool switched_ = false;  // the plan in use has been played before
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_PLANNED_STEPS_H_
