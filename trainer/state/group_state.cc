#include "trainer/state/group_state.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "kernels/cast.h"
#include "kernels/random.h"
#include "memory/counting_allocator.h"

namespace stowage {
namespace {

FlatLayout LayoutOf(const GroupSpec& spec, int world_size) {
  std::vector<int64_t> numels;
  for (const ParameterSpec& p : spec.parameters) numels.push_back(p.numel());
  return FlatLayout(numels, world_size);
}

// fp32 starts parameters at 16 elements; in bf16 a 64-byte boundary is 32 of them.
constexpr int64_t kCopyAlignmentNumel = 32;

uint16_t* Bits(const at::Tensor& t) { return reinterpret_cast<uint16_t*>(t.data_ptr<at::BFloat16>()); }

}  // namespace

GroupState::GroupState(const GroupSpec& spec, int world_size, const std::vector<bool>& in_bf16)
    : spec_(spec), layout_(LayoutOf(spec, world_size)), slots_(spec.parameters.size()) {
  const bool any_copy = std::find(in_bf16.begin(), in_bf16.end(), true) != in_bf16.end();
  {
    // Beside copies that segments work with, the masters are the optimizer's.
    CategoryScope scope(any_copy ? Category::kOptimizer : Category::kParameters);
    parameters_ = at::zeros({layout_.whole_numel()}, at::kFloat);
  }
  for (int i = 0; i < layout_.parameters(); ++i) {
    at::Tensor leaf =
        parameters_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape).detach();
    leaf.set_requires_grad(true);
    leaves_.push_back(leaf);
    ranges_.push_back({layout_.offset(i), layout_.offset(i) + layout_.numel(i), 1.0, spec_.parameters[i].decay()});
  }
  MakeCopies(in_bf16);
}

void GroupState::MakeCopies(const std::vector<bool>& in_bf16) {
  copy_leaves_.resize(layout_.parameters());
  STOWAGE_CHECK(in_bf16.empty() || static_cast<int>(in_bf16.size()) == layout_.parameters()) << in_bf16.size();
  std::vector<int> copied;
  std::vector<int64_t> numels;
  for (size_t i = 0; i < in_bf16.size(); ++i) {
    if (!in_bf16[i]) continue;
    copied.push_back(static_cast<int>(i));
    numels.push_back(layout_.numel(static_cast<int>(i)));
  }
  if (copied.empty()) return;
  const FlatLayout layout(numels, /*world_size=*/1, kCopyAlignmentNumel);
  CategoryScope scope(Category::kParameters);
  copies_ = at::zeros({layout.whole_numel()}, at::kBFloat16);
  for (size_t k = 0; k < copied.size(); ++k) {
    const int i = copied[k];
    at::Tensor leaf = copies_.narrow(0, layout.offset(static_cast<int>(k)), numels[k]).view(spec_.parameters[i].shape);
    copy_leaves_[i] = leaf.detach().set_requires_grad(true);
    ranges_[i].bf16 = Bits(leaf);
  }
}

void GroupState::WriteCopies() {
  for (int i = 0; i < layout_.parameters(); ++i) {
    if (ranges_[i].bf16 == nullptr) continue;
    kernels::CastFp32ToBf16(parameters_data() + layout_.offset(i), ranges_[i].bf16, layout_.numel(i));
  }
  copies_written_ = true;
}

void GroupState::TakeInitialValues(const std::vector<at::Tensor>& values) {
  STOWAGE_CHECK(values.size() == spec_.parameters.size()) << spec_.name << ": " << values.size() << " values";
  for (int i = 0; i < layout_.parameters(); ++i) {
    const at::Tensor value = values[i].contiguous();
    STOWAGE_CHECK(value.numel() == layout_.numel(i)) << spec_.parameters[i].name;
    std::copy_n(value.const_data_ptr<float>(), value.numel(), parameters_data() + layout_.offset(i));
  }
}

void GroupState::Initialize(uint64_t seed) {
  if (spec_.initial_values) TakeInitialValues(spec_.initial_values(seed));
  for (int i = 0; i < layout_.parameters() && !spec_.initial_values; ++i) {
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
  WriteCopies();
}

Parameter GroupState::parameter(int i, at::ScalarType dtype, bool with_gradient) {
  GradientSlot* slot = with_gradient ? &slots_[i] : nullptr;
  if (dtype == at::kFloat || spec_.parameters[i].keep_fp32) return {leaves_[i], slot};
  STOWAGE_CHECK(dtype == at::kBFloat16 && copy_leaves_[i].defined() && copies_written_)
      << spec_.parameters[i].name << " in " << c10::toString(dtype);
  return {copy_leaves_[i], slot};
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
  copies_written_ = true;
}

}  // namespace stowage
