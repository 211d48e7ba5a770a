// A torch::nn module as a segment.
//
// The module's own parameter tensors share the bytes of the parameter group (they are pointed at them before each
// forward), so a module runs unchanged and nothing is held twice; autograd knows the parameters by the module's
// tensors. Buffers stay the module's. train() and eval() follow the pass; what the module draws at random (dropout)
// is a function of SegmentContext::random_key.
//
// The module is made by a function, and not handed over: its parameters' shapes must be known while there are no bytes,
// and its starting values must be a function of the run's seed. So it is called once for the shapes (the bytes that it
// took are given back) and once more for the values.
//
// What goes wrong inside the module is thrown with the segment's name, the segment before, and the shapes that it got.
#ifndef STOWAGE_TRAINER_MODULE_MODULE_SEGMENT_H_
#define STOWAGE_TRAINER_MODULE_MODULE_SEGMENT_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/model/segment.h"

namespace stowage {

// A module of any type, and how its forward is called.
struct MadeModule {
  std::shared_ptr<torch::nn::Module> module;
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs, const Batch& batch)> forward;
};
using MakeModule = std::function<MadeModule()>;

class ModuleSegment : public Segment {
 public:
  // Makes the module once. `before`: the name of the segment whose outputs it gets; "" for the first segment, which
  // gets the batch's tensors `batch_inputs` (floating ones in the dtype of its parameters).
  // InvalidArgument: the function throws or makes nothing; a parameter that is not float32, is frozen or is held twice;
  // a buffer that is neither float32, float64 nor int64.
  static absl::StatusOr<std::unique_ptr<ModuleSegment>> Create(const std::string& name, MakeModule make,
                                                               const std::string& before,
                                                               std::vector<std::string> batch_inputs);

  // In the order of the module's named_parameters; names are "<segment>.<name>". Weights of normalisation layers are
  // keep_fp32.
  const std::vector<ParameterSpec>& parameters() const { return specs_; }

  // The module's own starting values for `seed`, in that order; a function of seed and the segment's name. Throws if
  // the function does not make such a module anew each time.
  std::vector<at::Tensor> InitialValues(uint64_t seed) const;

  // The addresses by which LibTorch knows the module's parameters: who else holds one shares it.
  std::vector<const void*> identities() const;

  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;
  std::vector<at::Tensor> Leaves(absl::Span<const Parameter> parameters) const override { return tensors_; }
  std::vector<std::pair<std::string, at::Tensor>> Buffers() const override;

 private:
  ModuleSegment(std::string name, MakeModule make, std::string before, std::vector<std::string> batch_inputs);

  absl::Status MakeOnce();
  std::vector<at::Tensor> InputsFrom(const Batch& batch, at::ScalarType floating) const;

  const std::string name_;
  const MakeModule make_;
  const std::string before_;
  const std::vector<std::string> batch_inputs_;
  MadeModule made_;
  std::vector<ParameterSpec> specs_;
  std::vector<at::Tensor> tensors_;  // the module's parameters
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_MODULE_SEGMENT_H_
