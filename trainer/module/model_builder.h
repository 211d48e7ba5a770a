// From torch::nn modules and a loss to a model that Stowage trains.
//
//   absl::StatusOr<stowage::Model> MakeNet(const stowage::ModelConfig& config) {
//     stowage::ModelBuilder b;
//     b.Add("stem", [] { return torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 16, 3)); });
//     b.Add("block", [] { return std::make_shared<MyBlock>(16); });
//     b.Loss([](const at::Tensor& out, const stowage::Batch& batch) {
//       return at::cross_entropy_loss(out, batch.at("targets"), {}, at::Reduction::Sum);
//     });
//     return b.Build();
//   }
//
// Each Add is a segment (run, and later recomputed, as one piece) and a parameter group (reduced, updated and later
// sharded at once): give it a layer's worth. A segment gets what the one before returns; the first one the batch's
// "inputs", or what Input names. Module and loss are called as trainer/module/module_call.h says.
//
// Not thread-safe. Functions are copied and called later, also after the builder is gone: capture by value.
#ifndef STOWAGE_TRAINER_MODULE_MODEL_BUILDER_H_
#define STOWAGE_TRAINER_MODULE_MODEL_BUILDER_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/model/segment.h"
#include "trainer/module/loss_segment.h"
#include "trainer/module/module_call.h"
#include "trainer/module/module_segment.h"

namespace stowage {

class ModelBuilder {
 public:
  // The batch's tensors that the first segment gets, in this order. {"inputs"} unless given.
  ModelBuilder& Input(std::vector<std::string> names);

  // `make` makes the module, anew each time it is called: a torch::nn holder (Linear, Sequential, one of TORCH_MODULE)
  // or a std::shared_ptr of a struct that derives from torch::nn::Module. Its random numbers come from the run's seed.
  template <typename Make>
  ModelBuilder& Add(const std::string& name, Make make);

  // The loss, summed over the samples of a micro-batch (over Batch::loss_terms, to be exact: Stowage divides by their
  // number over the whole global batch, whatever the micro-batches and ranks). A scalar.
  //   (const at::Tensor& output, const Batch&) -> at::Tensor, or (const std::vector<at::Tensor>& outputs, const Batch&)
  template <typename LossOf>
  ModelBuilder& Loss(LossOf loss);

  // The model; the builder is empty afterwards. InvalidArgument: no module or loss, a name twice, what ModuleSegment
  // refuses, a parameter that two segments share.
  absl::StatusOr<Model> Build();

 private:
  struct Part {
    std::string name;
    MakeModule make;
  };

  std::vector<std::string> input_{"inputs"};
  std::vector<Part> parts_;
  LossFunction loss_;
};

// ---- Templates only from here on
// -------------------------------------------------------------------------------------

namespace module_call {

template <typename M>
MadeModule Made(std::shared_ptr<M> module) {
  static_assert(std::is_base_of_v<torch::nn::Module, M>, "the function must return a torch::nn module");
  MadeModule made;
  made.module = module;
  made.forward = [module](const Tensors& inputs, const Batch& batch) { return Forward(*module, inputs, batch); };
  return made;
}

template <typename M>
MadeModule Made(const torch::nn::ModuleHolder<M>& holder) {
  return Made(holder.ptr());
}

}  // namespace module_call

template <typename Make>
ModelBuilder& ModelBuilder::Add(const std::string& name, Make make) {
  static_assert(!std::is_base_of_v<torch::detail::ModuleHolderIndicator, Make>,
                "Add takes a function that makes the module: [] { return torch::nn::Linear(2, 3); }");
  parts_.push_back({name, [make = std::move(make)] { return module_call::Made(make()); }});
  return *this;
}

template <typename LossOf>
ModelBuilder& ModelBuilder::Loss(LossOf loss) {
  loss_ = [loss = std::move(loss)](const std::vector<at::Tensor>& outputs, const Batch& batch) -> at::Tensor {
    if constexpr (std::is_invocable_v<LossOf, const std::vector<at::Tensor>&, const Batch&>) {
      return loss(outputs, batch);
    } else {
      return loss(outputs.at(0), batch);
    }
  };
  return *this;
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_MODEL_BUILDER_H_
