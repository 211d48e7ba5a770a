// Plays schedules. It knows instructions, not phases: training and evaluation differ only in the list and in where
// micro-batches come from. There is no branch for "distributed": one rank plays with a Solo communicator.
//
// One thread does all arithmetic (with LibTorch's OpenMP team), autograd included; collectives run on the
// communicator's lane between `reduce` and `wait`.
//
// A step is a transaction up to `agree`: what fails on a rank before it (memory, data, LibTorch) stops that rank's
// arithmetic but not its part in the collectives that are left; in `agree` all learn of it, nobody updates, and Play
// returns the same error on every rank. Then all is as it was before: parameters, optimizer state and modules' buffers
// to the bit, gradient buffers released, nothing else held. One rank alone may play the same step again and gets the
// bits of one that was never interrupted.
//
// What is recomputed runs twice by the same code, with autograd on both times (the first graph goes at once), from the
// same inputs, random numbers and values of the module's buffers: so the second run has the bits of the first. What it
// writes to the buffers is undone.
#ifndef STOWAGE_TRAINER_EXECUTOR_EXECUTOR_H_
#define STOWAGE_TRAINER_EXECUTOR_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/agreement.h"
#include "sharding/communicator.h"
#include "trainer/data/batch.h"
#include "trainer/executor/boundary_shapes.h"
#include "trainer/executor/observer.h"
#include "trainer/executor/segment_runner.h"
#include "trainer/model/segment.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"
#include "trainer/schedule/planner.h"
#include "trainer/schedule/verified_schedules.h"
#include "trainer/state/group_states.h"

namespace stowage {

// What a schedule is played on.
struct PlayInputs {
  PassMode mode = PassMode::kTrain;
  uint64_t seed = 0;
  int64_t step = 0;  // steps made before; keys the random numbers
  // This rank's m-th micro-batch; one with `samples` 0 is null: nothing is computed, zeros are contributed.
  std::function<absl::StatusOr<Batch>(int m)> batch;
  // Its index in the global batch.
  std::function<int64_t(int m)> global_index;
  // Adds what only the caller knows (signals, clocks) to this rank's words. May be empty.
  std::function<void(AgreementWords*)> before_agree;
  // From what was agreed to the update's numbers; the same on every rank. An error ends the step without an update.
  // Needed if the schedule has an update.
  std::function<absl::StatusOr<UpdateScalars>(const AgreementVerdict&)> scalars;
  // What flows back from the loss is multiplied by it, and so are all gradients: `scalars` divides by it again.
  double loss_scale = 1.0;
  // Not owned; null: nobody looks.
  InstructionObserver* observer = nullptr;
  // Gradient buffers go with the update that has read them, or with the error that ends the step; otherwise they stay
  // for the next step.
  bool release_gradients = false;
};

class Executor {
 public:
  // Borrows everything; all must outlive it. `optimizer` may be null if no schedule has an update.
  Executor(const Model& model, GroupStates& groups, Communicator& communicator, const Optimizer* optimizer);

  // Collective. Returns what was agreed; with an update in the schedule, after it was made. Every rank returns the
  // same error (ResourceExhausted where memory was short, with the instruction and its segment or group). With several
  // ranks the gradient buffers of all groups of ZeRO 0 and 1 that are reduced are taken at the start, so that no
  // collective can lack its own; one rank alone takes each group's when the first contribution comes. Buffers of ZeRO 2
  // and 3 come and go: where one cannot be had when its collective is issued, this rank's part of the step is given up
  // for it, and if that does not do, all ranks are ended (Unavailable). A schedule is verified before it is
  // first played (trainer/schedule/verifier.h). Internal: it is unsound, nothing was played and nothing sent; all ranks
  // are handed the same list, so all refuse it.
  absl::StatusOr<AgreementVerdict> Play(const Schedule& schedule, const PlayInputs& inputs);

 private:
  struct Run;     // the state of one Play
  struct Before;  // what of the trainer's it would change

  absl::StatusOr<AgreementVerdict> PlayThrough(const Schedule& schedule, const PlayInputs& inputs, Before* before);
  absl::Status Prepare(const Schedule& schedule, Before* before);
  void PutBack(const Before& before);
  absl::Status Forward(Run& run, const Instruction& instruction);
  absl::Status Recompute(Run& run, const Instruction& instruction);
  SegmentContext ContextOf(Run& run, const Instruction& instruction) const;
  absl::Status Backward(Run& run, const Instruction& instruction);
  absl::Status FinishGradients(Run& run, const Instruction& instruction);
  // Of collectives: an error is one that the ranks cannot agree on any more.
  absl::Status Gather(Run& run, const Instruction& instruction);
  absl::Status Reduce(Run& run, const Instruction& instruction);
  absl::Status Wait(Run& run, const Instruction& instruction);
  absl::Status TakeForCollective(Run& run, const Instruction& instruction, absl::FunctionRef<void()> take);
  void NoteTrouble(Run& run, const Instruction& instruction, const absl::Status& status);
  absl::Status Agree(Run& run);
  void Update(GroupState& group, const Run& run);
  std::string TargetName(const Instruction& instruction) const;

  const Model& model_;
  GroupStates& groups_;
  Communicator& communicator_;
  const Optimizer* optimizer_;
  BoundaryShapes shapes_;
  VerifiedSchedules verified_;
};

// What the planner needs of a model.
ModelShape ShapeOf(const Model& model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_EXECUTOR_EXECUTOR_H_
