// The whole of a run without its bytes: the executor, the model and the optimizer that will run, played dry.
//
// Every phase is played in a run's own order: data opened (really: what it holds is counted as it is), the model made
// and initialised, the first step, a steady one, an evaluation, a save, and a load. A step's micro-batches beyond three
// are left out: between the first and the last each begins and ends with what its neighbours hold. An evaluation plays
// three as well.
#ifndef STOWAGE_TRAINER_RUN_REHEARSE_H_
#define STOWAGE_TRAINER_RUN_REHEARSE_H_

#include <string>

#include "absl/status/statusor.h"
#include "trainer/calibration/outside_model.h"
#include "trainer/config/config.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/own_kinds.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

struct RehearsalRequest {
  std::string name;  // of the config, for people
  int world_size = 1;
  int ranks_on_host = 1;
  int threads = 1;  // that a rank would compute with: scratch of some kernels depends on it
};

struct Rehearsal {
  Prediction prediction;  // rank 0's tensors and their pool; without outside bytes, budgets and hints
  OutsideQuery outside;   // what decides the outside bytes; `launched` is the caller's to say
  // What the phases of steps have played, instruction by instruction.
  Schedule step;
  ModelShape model;
};

// In a process of its own (see child.h): installs the
// process's allocator and leaves its ledger, pool and thread count changed. Not collective; no launcher is needed.
// InvalidArgument, Unimplemented: the config does not resolve. NotFound and others of OpenData. Internal: an operator
// or a module that cannot be rehearsed, named with its instruction. FailedPrecondition: a module that computes on a
// thread of its own, or keeps more tensors with each step, named alike.
absl::StatusOr<Rehearsal> Rehearse(const Config& config, const OwnKinds& own, const RehearsalRequest& request);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_REHEARSE_H_
