#include "trainer/state/group_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "kernels/cast.h"
#include "kernels/dry.h"
#include "kernels/random.h"
#include "memory/tracked_tensor.h"

namespace stowage {
namespace {

FlatLayout LayoutOf(const GroupSpec& spec, int world_size) {
  std::vector<int64_t> numels;
  for (const ParameterSpec& p : spec.parameters) numels.push_back(p.numel());
  return FlatLayout(numels, world_size);
}

// fp32 starts parameters at 16 elements; in bf16 a 64-byte boundary is 32 of them.
constexpr int64_t kCopyAlignmentNumel = 32;

std::vector<int> Chosen(const std::vector<bool>& of) {
  std::vector<int> chosen;
  for (size_t i = 0; i < of.size(); ++i) {
    if (of[i]) chosen.push_back(static_cast<int>(i));
  }
  return chosen;
}

FlatLayout CopyLayout(const FlatLayout& layout, const std::vector<int>& copied) {
  std::vector<int64_t> numels;
  for (int i : copied) numels.push_back(layout.numel(i));
  return FlatLayout(numels, /*world_size=*/1, kCopyAlignmentNumel);
}

// As many elements as the gradients have, if nearly all of the group is copied: where two groups' copies lay, one of
// the same size then has room for its gradients, which come when copies go.
int64_t CopyNumel(const FlatLayout& layout, const FlatLayout& copies) {
  const bool nearly_all = copies.whole_numel() > layout.whole_numel() / 16 * 15;
  return nearly_all ? std::max(copies.whole_numel(), layout.whole_numel()) : copies.whole_numel();
}

uint16_t* Bits(const at::Tensor& t) { return reinterpret_cast<uint16_t*>(t.data_ptr<at::BFloat16>()); }

// The writes to a group's bytes that are no kernel's. Nothing in a dry run, which has no bytes.
void Fill(float* begin, float* end, float value) {
  if (!kernels::Dry()) std::fill(begin, end, value);
}
void Copy(const float* from, int64_t numel, float* to) {
  if (!kernels::Dry()) std::copy_n(from, numel, to);
}

}  // namespace

GroupState::GroupState(const GroupSpec& spec, int world_size, const std::vector<bool>& in_bf16)
    : spec_(spec),
      layout_(LayoutOf(spec, world_size)),
      copied_(Chosen(in_bf16)),
      copy_layout_(CopyLayout(layout_, copied_)),
      copy_leaves_(spec.parameters.size()),
      slots_(spec.parameters.size()) {
  STOWAGE_CHECK(in_bf16.empty() || static_cast<int>(in_bf16.size()) == layout_.parameters()) << in_bf16.size();
  {
    // Beside copies that segments work with, the masters are the optimizer's.
    const bool masters = !copied_.empty();
    parameters_ =
        TrackedZeros(absl::StrCat(spec_.name, masters ? " master weights" : " parameters"), {layout_.whole_numel()},
                     at::kFloat, masters ? Category::kOptimizer : Category::kParameters);
  }
  for (int i = 0; i < layout_.parameters(); ++i) {
    at::Tensor leaf =
        parameters_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape).detach();
    leaf.set_requires_grad(true);
    leaves_.push_back(leaf);
    ranges_.push_back({layout_.offset(i), layout_.offset(i) + layout_.numel(i), 1.0, spec_.parameters[i].decay()});
  }
}

void GroupState::TakeCopies() {
  if (copied_.empty() || copies_.defined()) return;
  copies_ = TrackedEmpty(absl::StrCat(spec_.name, " parameters"), {CopyNumel(layout_, copy_layout_)}, at::kBFloat16,
                         Category::kParameters);
  for (size_t k = 0; k < copied_.size(); ++k) {
    const int i = copied_[k];
    at::Tensor leaf = copies_.narrow(0, copy_layout_.offset(static_cast<int>(k)), layout_.numel(i))
                          .view(spec_.parameters[i].shape)
                          .detach();
    copy_leaves_[i] = leaf.set_requires_grad(true);
    ranges_[i].bf16 = Bits(leaf);
  }
}

void GroupState::WriteCopies() {
  TakeCopies();
  for (int i : copied_) {
    kernels::CastFp32ToBf16(parameters_data() + layout_.offset(i), ranges_[i].bf16, layout_.numel(i));
  }
  copies_written_ = true;
}

void GroupState::ReleaseCopies() {
  for (int i : copied_) {
    copy_leaves_[i] = at::Tensor();
    ranges_[i].bf16 = nullptr;
  }
  copies_ = at::Tensor();
  copies_written_ = false;
}

void GroupState::ParametersWritten() {
  ReleaseCopies();
  parameters_written_ = true;
}

void GroupState::TakeInitialValues(const std::vector<at::Tensor>& values) {
  STOWAGE_CHECK(values.size() == spec_.parameters.size()) << spec_.name << ": " << values.size() << " values";
  for (int i = 0; i < layout_.parameters(); ++i) {
    const at::Tensor value = values[i].contiguous();
    STOWAGE_CHECK(value.numel() == layout_.numel(i)) << spec_.parameters[i].name;
    Copy(value.const_data_ptr<float>(), value.numel(), parameters_data() + layout_.offset(i));
  }
}

void GroupState::Initialize(uint64_t seed) {
  if (spec_.initial_values) TakeInitialValues(spec_.initial_values(seed));
  for (int i = 0; i < layout_.parameters() && !spec_.initial_values; ++i) {
    const ParameterSpec& p = spec_.parameters[i];
    float* to = parameters_data() + layout_.offset(i);
    switch (p.init.kind) {
      case Init::Kind::kZeros:
        Fill(to, to + layout_.numel(i), 0.0f);
        break;
      case Init::Kind::kOnes:
        Fill(to, to + layout_.numel(i), 1.0f);
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
  ParametersWritten();
}

Parameter GroupState::parameter(int i, at::ScalarType dtype, bool with_gradient) {
  GradientSlot* slot = with_gradient ? &slots_[i] : nullptr;
  if (dtype == at::kFloat || spec_.parameters[i].keep_fp32) return {leaves_[i], slot};
  STOWAGE_CHECK(dtype == at::kBFloat16 && parameters_written_ &&
                std::find(copied_.begin(), copied_.end(), i) != copied_.end())
      << spec_.parameters[i].name << " in " << c10::toString(dtype);
  if (!copies_written_) WriteCopies();
  return {copy_leaves_[i], slot};
}

void GroupState::BeginGradients(Take take) {
  for (GradientSlot& slot : slots_) slot.BindWhenWritten([this] { TakeGradients(); });
  if (gradients_.defined() || take == Take::kNow) TakeGradients();
}

void GroupState::TakeGradients() {
  if (!gradients_.defined()) {
    gradients_ =
        TrackedEmpty(absl::StrCat(spec_.name, " gradients"), {layout_.whole_numel()}, at::kFloat, Category::kGradients);
    // Padding takes part in reductions and norms, so it must be zero; parameters' own parts are written by slots.
    int64_t end = 0;
    for (int i = 0; i < layout_.parameters(); ++i) {
      Fill(gradients_data() + end, gradients_data() + layout_.offset(i), 0.0f);
      end = layout_.offset(i) + layout_.numel(i);
    }
    Fill(gradients_data() + end, gradients_data() + layout_.whole_numel(), 0.0f);
  }
  for (int i = 0; i < layout_.parameters(); ++i) {
    slots_[i].Bind(gradients_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape));
  }
}

void GroupState::FinishGradients() {
  for (GradientSlot& slot : slots_) slot.ZeroIfUnwritten();
}

void GroupState::ReleaseGradients() {
  for (GradientSlot& slot : slots_) slot = GradientSlot();
  gradients_ = at::Tensor();
}

void GroupState::EnsureOptimizerState(const Optimizer& optimizer) {
  if (has_optimizer_state()) return;
  std::vector<at::Tensor> states;
  for (size_t k = 0; k < optimizer.state_tensors().size(); ++k) {
    states.push_back(TrackedZeros(absl::StrCat(spec_.name, " ", optimizer.state_tensors()[k]), {layout_.whole_numel()},
                                  at::kFloat, Category::kOptimizer));
  }
  optimizer_state_ = std::move(states);
}

void GroupState::Update(const Optimizer& optimizer, const UpdateScalars& scalars) {
  STOWAGE_CHECK(has_gradients()) << spec_.name;
  std::vector<float*> states;
  for (at::Tensor& state : optimizer_state_) states.push_back(state.data_ptr<float>());
  optimizer.Update(parameters_data(), gradients_data(), states, ranges_, scalars);
  parameters_written_ = true;
  copies_written_ = copies_.defined();
}

}  // namespace stowage
