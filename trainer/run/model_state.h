// A model with its bytes: made new, or brought back from a checkpoint; and what of it a checkpoint keeps.
#ifndef STOWAGE_TRAINER_RUN_MODEL_STATE_H_
#define STOWAGE_TRAINER_RUN_MODEL_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/communicator.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/config/config.h"
#include "trainer/executor/executor.h"
#include "trainer/model/segment.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/run/host_budget.h"
#include "trainer/run/own_kinds.h"

namespace stowage {

struct ModelState {
  Model model;
  GroupStates groups;

  int64_t parameter_count() const;
};

// `config` is resolved. Groups are made one after another, with values still to be written. ResourceExhausted: no
// memory for them. `rank`: whose shards they are, where the config shards.
absl::StatusOr<ModelState> MakeModelState(const Config& config, int world_size, int rank, const OwnKinds& own = {});

// Starting values on rank 0, then the same bytes on all ranks, of which each keeps what it holds. Where groups are
// sharded one at a time is held whole. Collective.
absl::Status InitializeParameters(uint64_t seed, Communicator& communicator, ModelState* state);

// The same with the weights of the Hugging Face folder `config.model.init_from`, in the fp32 masters. Collective: rank 0
// reads. Errors of ReadHfWeights (hf_start.h), on all ranks.
absl::Status InitializeFromFolder(const Config& config, Communicator& communicator, ModelState* state);

// Parameters, and optimizer state if `optimizer` is not null, from `reader` (null on ranks other than 0), then the
// same bytes on all ranks. Collective. InvalidArgument: a tensor is missing or has another shape (the first
// differences are listed): nothing was changed. A dry run reads nothing and needs no reader.
absl::Status RestoreState(const CheckpointReader* reader, const Optimizer* optimizer, Communicator& communicator,
                          ModelState* state);

// What this rank writes, so that all write at once: its shards of groups that are sharded; others are dealt to ranks in
// turn, whole. The pieces borrow the groups' buffers.
std::vector<TensorPiece> PiecesToSave(const Optimizer& optimizer, int rank, int world_size, ModelState& state);

// A model as a checkpoint or a Hugging Face folder holds it, for evaluating and sampling: its own resolved config,
// parameters only.
struct LoadedModel {
  std::shared_ptr<HostBudget> budget;  // the config's; before `state`, which lives under it
  Config config;
  ModelState state;
  int64_t step = 0;
  std::string path;
  std::string tokenizer_model;  // on rank 0: the checkpoint's tokenizer.model; empty: it has none
  bool has_data = true;         // whether `config` names any: a Hugging Face folder does not
};

// `path`: a run folder (its newest whole checkpoint), a checkpoint folder, or a Hugging Face folder whose tokenizer is
// read here. Collective: rank 0 reads.
absl::StatusOr<LoadedModel> LoadModel(const std::string& path, Communicator& communicator, const OwnKinds& own = {});

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MODEL_STATE_H_
