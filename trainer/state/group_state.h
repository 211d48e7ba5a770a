// The bytes of one parameter group on this rank: parameters, gradients, optimizer state.
//
//   GroupSpec::zero_stage                         0               1               2               3
//   master weights, each optimizer state, fp32    [whole_numel]   [shard_numel]   [shard_numel]   [shard_numel]
//   gradients until reduced, fp32                 [whole_numel] under all
//   gradients as summed up over ranks, fp32       [whole_numel]   [whole_numel]   [shard_numel]   [shard_numel]
//   parameters as segments read them              whole           whole           whole           gathered, released
//
// The layout is FlatLayout's at every stage: every parameter at a 64-byte boundary, padding zero. Parameters are leaves
// of autograd that view flat buffers; updates write through raw pointers, so no version moves and saved tensors stay
// valid. Gradients live from the first contribution after BeginGradients (or from there) to ReleaseGradients
// (group_gradients.h), optimizer state from the first update on.
//
// Stage 0: segments read the masters themselves, or copies in bf16 of what a segment computing in bf16 uses. The copies
// follow the masters, are never saved and never sent, are made when a segment first wants them and are gone after
// ReleaseCopies: between the last backward and the update nobody needs them, and there the gradients are at their most.
// The ledger counts copies as parameters, and the masters of a group that has copies as optimizer.
// Stages 1 to 3: sharded_parameters.h.
//
// Owns all buffers. Not thread-safe; a collective that was given a buffer keeps it until its event is done.
#ifndef STOWAGE_TRAINER_STATE_GROUP_STATE_H_
#define STOWAGE_TRAINER_STATE_GROUP_STATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sharding/communicator.h"
#include "sharding/event.h"
#include "sharding/flat_layout.h"
#include "trainer/model/parameter.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/optimizer/ranges.h"
#include "trainer/state/group_gradients.h"
#include "trainer/state/sharded_parameters.h"

namespace stowage {

class GroupState {
 public:
  // Takes the parameters' bytes; values are undefined until Initialize or KeepParameters has written them (padding is
  // zero). `in_bf16`: by parameter, whether some segment gets it in bf16 (see Bf16Parameters()); empty: none.
  // `in_fp32`: the same for fp32, which matters where parameters are sharded; empty: all. `rank`: whose shard this is.
  // Throws what LibTorch throws when memory is short.
  GroupState(const GroupSpec& spec, int world_size, const std::vector<bool>& in_bf16 = {}, int rank = 0,
             const std::vector<bool>& in_fp32 = {});
  GroupState(const GroupState&) = delete;
  GroupState& operator=(const GroupState&) = delete;

  const GroupSpec& spec() const { return spec_; }
  const FlatLayout& layout() const { return layout_; }
  // Whether this rank owns a shard of masters and optimizer state, not all of it.
  bool sharded() const { return spec_.zero_stage >= 1; }
  // What it owns: elements [owned_begin, owned_begin + owned_numel) of whole.
  int64_t owned_begin() const { return sharded() ? rank_ * layout_.shard_numel() : 0; }
  int64_t owned_numel() const { return sharded() ? layout_.shard_numel() : layout_.whole_numel(); }

  // Starting values, a pure function of (seed, parameter name, element) or those of GroupSpec::initial_values, whose
  // exceptions pass through, into `whole` ([whole_numel] fp32), padding left alone.
  void InitialValues(uint64_t seed, float* whole) const;
  // Writes them into the group. Where it is sharded, all of them are held for a moment.
  void Initialize(uint64_t seed);

  // Takes over what this rank keeps of all values: of the parameters, which are ready to be used then, or of optimizer
  // state `k`. `whole`: [whole_numel] fp32, padding zero; under stage 0 it may be parameters_data() or
  // optimizer_data(k) itself.
  void KeepParameters(const float* whole);
  void KeepOptimizerState(int k, const float* whole);

  // Stage 0: to be called when parameters_data() was written otherwise, before the parameters are used.
  void ParametersWritten();

  // Parameter `i` for a segment that computes in `dtype` (kFloat or kBFloat16): in that dtype, or in fp32 if it is to
  // be kept so. `with_gradient`: carries its slot, which is fp32, and asks autograd for gradients. It has values if the
  // parameters were written, and under stage 3 between a gather and a release.
  // It must have been asked for in that dtype at construction; under stage 0, if there are no copies at this moment,
  // all of the group's are made. Throws what LibTorch throws when memory is short.
  Parameter parameter(int i, at::ScalarType dtype, bool with_gradient);

  // Drops the copies, of which no segment may hold one still, or what was gathered under stage 3.
  void Release();
  void ReleaseCopies();
  // Stage 0: takes the bytes of copies, if there are none, for the next Update to write them in its own pass over the
  // parameters. Throws when memory is short; Update then leaves it to parameter() to make them.
  void TakeCopies();

  // Stages 1 to 3: bytes for what is gathered, if there are none (throws); and the gather itself, which
  // ShardedParameters describes. Collective.
  void TakeGathered();
  std::vector<Event> Gather(Communicator& communicator);

  using Take = GroupGradients::Take;
  void BeginGradients(Take take) { gradients_.Begin(take); }
  void FinishGradients() { gradients_.Finish(); }
  void ReleaseGradients() { gradients_.Release(); }
  bool has_gradients() const { return gradients_.present(); }
  GroupGradients& gradients() { return gradients_; }

  // Makes the optimizer's state (zeros) if there is none.
  void EnsureOptimizerState(const Optimizer& optimizer);
  void ReleaseOptimizerState() { optimizer_state_.clear(); }
  bool has_optimizer_state() const { return !optimizer_state_.empty(); }

  // One optimizer step on what this rank owns; copies included, if their bytes are there. Under stages 1 and 2 the
  // parameters are stale then until they are gathered.
  void Update(const Optimizer& optimizer, const UpdateScalars& scalars);

  // [owned_numel]
  float* masters() { return sharded() ? sharded_->shard() : parameters_.data_ptr<float>(); }
  // Stage 0 only: [whole_numel].
  float* parameters_data();
  float* gradients_data() { return gradients_.buffer(); }
  // State `k` in the order of Optimizer::state_tensors(), [owned_numel].
  float* optimizer_data(int k) { return optimizer_state_[k].data_ptr<float>(); }

 private:
  void MakeReplicated();
  void MakeRanges();
  void WriteCopies();

  const GroupSpec spec_;
  const FlatLayout layout_;
  const int rank_;
  std::unique_ptr<ShardedParameters> sharded_;  // null: stage 0
  GroupGradients gradients_;
  std::vector<at::Tensor> optimizer_state_;
  std::vector<OptimizerRange> ranges_;  // of what is owned, counted from owned_begin()

  // Stage 0.
  at::Tensor parameters_;
  std::vector<at::Tensor> leaves_;       // views of parameters_, requires_grad
  std::vector<int> copied_;              // which parameters may have copies
  FlatLayout copy_layout_;               // of these, in bf16
  at::Tensor copies_;                    // undefined if there are none at this moment
  std::vector<at::Tensor> copy_leaves_;  // views of copies_, requires_grad; undefined where there is none
  bool parameters_written_ = false;
  bool copies_written_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GROUP_STATE_H_
