#include "trainer/state/group_state.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/check.h"
#include "base/hash.h"
#include "kernels/random.h"
#include "memory/counting_allocator.h"

namespace stowage {
namespace {

FlatLayout LayoutOf(const GroupSpec& spec, int world_size) {
  std::vector<int64_t> numels;
  for (const ParameterSpec& p : spec.parameters) numels.push_back(p.numel());
  return FlatLayout(numels, world_size);
}

}  // namespace

GroupState::GroupState(const GroupSpec& spec, int world_size)
    : spec_(spec), layout_(LayoutOf(spec, world_size)), slots_(spec.parameters.size()) {
  CategoryScope scope(Category::kParameters);
  parameters_ = at::zeros({layout_.whole_numel()}, at::kFloat);
  for (int i = 0; i < layout_.parameters(); ++i) {
    at::Tensor leaf = parameters_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape).detach();
    leaf.set_requires_grad(true);
    leaves_.push_back(leaf);
    ranges_.push_back({layout_.offset(i), layout_.offset(i) + layout_.numel(i), 1.0, spec_.parameters[i].decay()});
  }
}

void GroupState::Initialize(uint64_t seed) {
  for (int i = 0; i < layout_.parameters(); ++i) {
    const ParameterSpec& p = spec_.parameters[i];
    float* to = parameters_data() + layout_.offset(i);
    switch (p.init.kind) {
      case Init::Kind::kZeros:
        std::fill_n(to, layout_.numel(i), 0.0f);
        break;
      case Init::Kind::kOnes:
        std::fill_n(to, layout_.numel(i), 1.0f);
        break;
      case Init::Kind::kNormal:
        kernels::FillNormal(to, layout_.numel(i), HashKey({seed, HashName(p.name)}), 0, 0.0f,
                            static_cast<float>(p.init.stddev));
        break;
      case Init::Kind::kUniform:
        kernels::FillUniform(to, layout_.numel(i), HashKey({seed, HashName(p.name)}), 0,
                             static_cast<float>(-p.init.bound), static_cast<float>(p.init.bound));
        break;
    }
  }
}

Parameter GroupState::parameter(int i, bool with_gradient) {
  return {leaves_[i], with_gradient ? &slots_[i] : nullptr};
}

void GroupState::BeginGradients() {
  if (!gradients_.defined()) {
    CategoryScope scope(Category::kGradients);
    gradients_ = at::empty({layout_.whole_numel()}, at::kFloat);
    // Padding takes part in reductions and norms, so it must be zero; parameters' own parts are written by slots.
    int64_t end = 0;
    for (int i = 0; i < layout_.parameters(); ++i) {
      std::fill(gradients_data() + end, gradients_data() + layout_.offset(i), 0.0f);
      end = layout_.offset(i) + layout_.numel(i);
    }
    std::fill(gradients_data() + end, gradients_data() + layout_.whole_numel(), 0.0f);
  }
  for (int i = 0; i < layout_.parameters(); ++i) {
    slots_[i].Bind(gradients_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape));
  }
}

void GroupState::FinishGradients() {
  for (GradientSlot& slot : slots_) slot.ZeroIfUnwritten();
}

void GroupState::ReleaseGradients() {
  for (GradientSlot& slot : slots_) slot.Bind(at::Tensor());
  gradients_ = at::Tensor();
}

void GroupState::EnsureOptimizerState(const Optimizer& optimizer) {
  if (has_optimizer_state()) return;
  CategoryScope scope(Category::kOptimizer);
  std::vector<at::Tensor> states;
  for (size_t k = 0; k < optimizer.state_tensors().size(); ++k) {
    states.push_back(at::zeros({layout_.whole_numel()}, at::kFloat));
  }
  optimizer_state_ = std::move(states);
}

void GroupState::Update(const Optimizer& optimizer, const UpdateScalars& scalars) {
  STOWAGE_CHECK(has_gradients()) << spec_.name;
  std::vector<float*> states;
  for (at::Tensor& state : optimizer_state_) states.push_back(state.data_ptr<float>());
  optimizer.Update(parameters_data(), gradients_data(), states, ranges_, scalars);
}

}  // namespace stowage
