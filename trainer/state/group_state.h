// The bytes of one parameter group on this rank: parameters, gradients, optimizer state, each one flat fp32 buffer.
//
//   parameters, gradients, each optimizer state   [layout.whole_numel()]   (replicated: ZeRO 0)
//
// The layout is FlatLayout's: every parameter at a 64-byte boundary, padding zero. Parameters are leaves of autograd
// that view the flat buffer; updates write through raw pointers, so no version moves and saved tensors stay valid.
// Gradients live from AllocateGradients to ReleaseGradients, optimizer state from the first update on.
//
// Owns all buffers. Not thread-safe; a collective that was given a buffer keeps it until its event is done.
#ifndef STOWAGE_TRAINER_STATE_GROUP_STATE_H_
#define STOWAGE_TRAINER_STATE_GROUP_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "sharding/flat_layout.h"
#include "trainer/model/parameter.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/optimizer/ranges.h"

namespace stowage {

class GroupState {
 public:
  // Takes the parameters' bytes; values are undefined until Initialize or a restore has written them (padding is
  // zero). Throws what LibTorch throws when memory is short.
  GroupState(const GroupSpec& spec, int world_size);
  GroupState(const GroupState&) = delete;
  GroupState& operator=(const GroupState&) = delete;

  const GroupSpec& spec() const { return spec_; }
  const FlatLayout& layout() const { return layout_; }

  // Writes the starting values, a pure function of (seed, parameter name, element).
  void Initialize(uint64_t seed);

  // Parameter `i` for a segment. `with_gradient`: carries its slot and asks autograd for gradients.
  Parameter parameter(int i, bool with_gradient);

  // Makes the gradient buffer if there is none, and marks every slot as unwritten.
  void BeginGradients();
  // Makes parts that nothing was added to zeros, so that the buffer may be reduced.
  void FinishGradients();
  void ReleaseGradients();
  bool has_gradients() const { return gradients_.defined(); }

  // Makes the optimizer's state (zeros) if there is none.
  void EnsureOptimizerState(const Optimizer& optimizer);
  bool has_optimizer_state() const { return !optimizer_state_.empty(); }

  // One optimizer step on the whole buffer.
  void Update(const Optimizer& optimizer, const UpdateScalars& scalars);

  float* parameters_data() { return parameters_.data_ptr<float>(); }
  float* gradients_data() { return gradients_.data_ptr<float>(); }
  // State `k` in the order of Optimizer::state_tensors().
  float* optimizer_data(int k) { return optimizer_state_[k].data_ptr<float>(); }

 private:
  GroupSpec spec_;
  FlatLayout layout_;
  std::vector<OptimizerRange> ranges_;
  at::Tensor parameters_;
  at::Tensor gradients_;
  std::vector<at::Tensor> optimizer_state_;
  std::vector<at::Tensor> leaves_;    // views of parameters_, requires_grad
  std::vector<GradientSlot> slots_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GROUP_STATE_H_
