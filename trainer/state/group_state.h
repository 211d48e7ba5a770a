// The bytes of one parameter group on this rank: parameters, gradients, optimizer state, each one flat fp32 buffer, and
// copies in bf16 of those parameters that a segment computing in bf16 uses.
//
//   parameters, gradients, each optimizer state   [layout.whole_numel()] fp32        (replicated: ZeRO 0)
//   copies                                        bf16, of the parameters asked for only, in the same order
//
// The layouts are FlatLayout's: every parameter at a 64-byte boundary, padding zero. Parameters are leaves of autograd
// that view the flat buffers; updates write through raw pointers, so no version moves and saved tensors stay valid.
// Gradients live from the first contribution after BeginGradients (or from there) to ReleaseGradients, optimizer state
// from the first update on. The fp32 parameters are the masters: the copies follow them, are never saved and never
// sent, are made when a segment first wants them and are gone after ReleaseCopies: between the last backward and the
// update nobody needs them, and there the gradients are at their most.
// The ledger counts copies as parameters, and the masters of a group that has copies as optimizer.
//
// Owns all buffers. Not thread-safe; a collective that was given a buffer keeps it until its event is done.
#ifndef STOWAGE_TRAINER_STATE_GROUP_STATE_H_
#define STOWAGE_TRAINER_STATE_GROUP_STATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sharding/flat_layout.h"
#include "trainer/model/parameter.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/optimizer/ranges.h"

namespace stowage {

class GroupState {
 public:
  // Takes the parameters' bytes; values are undefined until Initialize or a restore has written them (padding is
  // zero). `in_bf16`: by parameter, whether a copy in bf16 is kept too (see Bf16Parameters()); empty: of none.
  // Throws what LibTorch throws when memory is short.
  GroupState(const GroupSpec& spec, int world_size, const std::vector<bool>& in_bf16 = {});
  GroupState(const GroupState&) = delete;
  GroupState& operator=(const GroupState&) = delete;

  const GroupSpec& spec() const { return spec_; }
  const FlatLayout& layout() const { return layout_; }

  // Writes the starting values, a pure function of (seed, parameter name, element), copies included; or those of
  // GroupSpec::initial_values, whose exceptions pass through.
  void Initialize(uint64_t seed);

  // To be called after anything but Initialize and Update has written parameters_data() (a restore, a broadcast),
  // before the parameters are used.
  void ParametersWritten();

  // Parameter `i` for a segment that computes in `dtype` (kFloat or kBFloat16): in that dtype, or in fp32 if it is to
  // be kept so. `with_gradient`: carries its slot, which is fp32, and asks autograd for gradients.
  // A copy in bf16 must have been asked for at construction, and the parameters been written; if there are no copies at
  // this moment, all of the group's are made. Throws what LibTorch throws when memory is short.
  Parameter parameter(int i, at::ScalarType dtype, bool with_gradient);

  // Drops the copies, of which no segment may hold one still.
  void ReleaseCopies();
  // Takes the bytes of copies, if there are none, for the next Update to write them in its own pass over the
  // parameters. Throws when memory is short; Update then leaves it to parameter() to make them.
  void TakeCopies();

  enum class Take { kNow, kWhenWritten };
  // Marks every slot as unwritten, and takes the gradient buffer if there is none: now, or when the first contribution
  // comes.
  void BeginGradients(Take take);
  // Makes parts that nothing was added to zeros, so that the buffer may be reduced. Takes the buffer if there is none.
  void FinishGradients();
  void ReleaseGradients();
  bool has_gradients() const { return gradients_.defined(); }

  // Makes the optimizer's state (zeros) if there is none.
  void EnsureOptimizerState(const Optimizer& optimizer);
  void ReleaseOptimizerState() { optimizer_state_.clear(); }
  bool has_optimizer_state() const { return !optimizer_state_.empty(); }

  // One optimizer step on the whole buffer; copies included, if their bytes are there.
  void Update(const Optimizer& optimizer, const UpdateScalars& scalars);

  float* parameters_data() { return parameters_.data_ptr<float>(); }
  float* gradients_data() { return gradients_.data_ptr<float>(); }
  // State `k` in the order of Optimizer::state_tensors().
  float* optimizer_data(int k) { return optimizer_state_[k].data_ptr<float>(); }

 private:
  void TakeInitialValues(const std::vector<at::Tensor>& values);
  void TakeGradients();
  void WriteCopies();

  GroupSpec spec_;
  FlatLayout layout_;
  std::vector<OptimizerRange> ranges_;
  at::Tensor parameters_;
  at::Tensor gradients_;
  std::vector<at::Tensor> optimizer_state_;
  std::vector<at::Tensor> leaves_;       // views of parameters_, requires_grad
  std::vector<int> copied_;              // which parameters may have copies
  FlatLayout copy_layout_;               // of these, in bf16
  at::Tensor copies_;                    // undefined if there are none at this moment
  std::vector<at::Tensor> copy_leaves_;  // views of copies_, requires_grad; undefined where there is none
  bool parameters_written_ = false;
  bool copies_written_ = false;
  std::vector<GradientSlot> slots_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GROUP_STATE_H_
