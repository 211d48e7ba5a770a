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

GroupState::GroupState(const GroupSpec& spec, int world_size, const std::vector<bool>& in_bf16, int rank,
                       const std::vector<bool>& in_fp32)
    : spec_(spec),
      layout_(LayoutOf(spec, world_size)),
      rank_(rank),
      gradients_(spec_, layout_, rank),
      copied_(Chosen(in_bf16)),
      copy_layout_(CopyLayout(layout_, copied_)),
      copy_leaves_(spec.parameters.size()) {
  for (const std::vector<bool>* marks : {&in_bf16, &in_fp32}) {
    STOWAGE_CHECK(marks->empty() || static_cast<int>(marks->size()) == layout_.parameters()) << marks->size();
  }
  if (sharded()) {
    const std::vector<bool> all(spec.parameters.size(), true);
    sharded_ =
        std::make_unique<ShardedParameters>(spec_, layout_, world_size, rank, in_fp32.empty() ? all : in_fp32, in_bf16);
  } else {
    MakeReplicated();
  }
  MakeRanges();
}

void GroupState::MakeReplicated() {
  // Beside copies that segments work with, the masters are the optimizer's.
  const bool masters = !copied_.empty();
  parameters_ =
      TrackedZeros(absl::StrCat(spec_.name, masters ? " master weights" : " parameters"), {layout_.whole_numel()},
                   at::kFloat, masters ? Category::kOptimizer : Category::kParameters);
  for (int i = 0; i < layout_.parameters(); ++i) {
    at::Tensor leaf =
        parameters_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape).detach();
    leaves_.push_back(leaf.set_requires_grad(true));
  }
}

void GroupState::MakeRanges() {
  const int64_t begin = owned_begin(), end = begin + owned_numel();
  int64_t done = 0;
  for (int i = 0; i < layout_.parameters(); ++i) {
    const int64_t first = std::max(begin, layout_.offset(i)) - begin;
    const int64_t last = std::min(end, layout_.offset(i) + layout_.numel(i)) - begin;
    // One for each parameter, even if nothing of it is owned: TakeCopies counts on it.
    const bool empty = first >= last;
    ranges_.push_back({empty ? done : first, empty ? done : last, 1.0, spec_.parameters[i].decay()});
    done = ranges_.back().end;
  }
}

float* GroupState::parameters_data() {
  STOWAGE_CHECK(!sharded()) << spec_.name << ": ZeRO " << spec_.zero_stage;
  return parameters_.data_ptr<float>();
}

void GroupState::TakeCopies() {
  if (sharded() || copied_.empty() || copies_.defined()) return;
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

void GroupState::InitialValues(uint64_t seed, float* whole) const {
  std::vector<at::Tensor> given;
  if (spec_.initial_values) given = spec_.initial_values(seed);
  STOWAGE_CHECK(!spec_.initial_values || given.size() == spec_.parameters.size())
      << spec_.name << ": " << given.size() << " values";
  for (int i = 0; i < layout_.parameters(); ++i) {
    const ParameterSpec& p = spec_.parameters[i];
    float* to = whole + layout_.offset(i);
    if (spec_.initial_values) {
      const at::Tensor value = given[i].contiguous();
      STOWAGE_CHECK(value.numel() == layout_.numel(i)) << p.name;
      Copy(value.const_data_ptr<float>(), value.numel(), to);
      continue;
    }
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
}

void GroupState::Initialize(uint64_t seed) {
  if (!sharded()) {
    InitialValues(seed, parameters_data());
    ParametersWritten();
    return;
  }
  const at::Tensor whole = TrackedZeros(absl::StrCat(spec_.name, " starting values"), {layout_.whole_numel()},
                                        at::kFloat, Category::kParameters);
  InitialValues(seed, whole.data_ptr<float>());
  KeepParameters(whole.const_data_ptr<float>());
}

void GroupState::KeepParameters(const float* whole) {
  if (sharded()) {
    sharded_->Keep(whole);
    return;
  }
  if (whole != parameters_data()) Copy(whole, layout_.whole_numel(), parameters_data());
  ParametersWritten();
}

void GroupState::KeepOptimizerState(int k, const float* whole) {
  const float* const owned = whole + owned_begin();
  if (owned != optimizer_data(k)) Copy(owned, owned_numel(), optimizer_data(k));
}

void GroupState::Release() {
  if (sharded()) {
    sharded_->ReleaseGathered();
  } else {
    ReleaseCopies();
  }
}

void GroupState::TakeGathered() {
  STOWAGE_CHECK(sharded()) << spec_.name;
  sharded_->TakeGathered();
}

std::vector<Event> GroupState::Gather(Communicator& communicator) {
  STOWAGE_CHECK(sharded()) << spec_.name;
  return sharded_->Gather(communicator);
}

Parameter GroupState::parameter(int i, at::ScalarType dtype, bool with_gradient) {
  GradientSlot* slot = with_gradient ? gradients_.slot(i) : nullptr;
  const bool fp32 = dtype == at::kFloat || spec_.parameters[i].keep_fp32;
  if (sharded()) return {sharded_->leaf(i, fp32 ? at::kFloat : dtype), slot};
  if (fp32) return {leaves_[i], slot};
  STOWAGE_CHECK(dtype == at::kBFloat16 && parameters_written_ &&
                std::find(copied_.begin(), copied_.end(), i) != copied_.end())
      << spec_.parameters[i].name << " in " << c10::toString(dtype);
  if (!copies_written_) WriteCopies();
  return {copy_leaves_[i], slot};
}

void GroupState::EnsureOptimizerState(const Optimizer& optimizer) {
  if (has_optimizer_state()) return;
  std::vector<at::Tensor> states;
  for (size_t k = 0; k < optimizer.state_tensors().size(); ++k) {
    states.push_back(TrackedZeros(absl::StrCat(spec_.name, " ", optimizer.state_tensors()[k]), {owned_numel()},
                                  at::kFloat, Category::kOptimizer));
  }
  optimizer_state_ = std::move(states);
}

void GroupState::Update(const Optimizer& optimizer, const UpdateScalars& scalars) {
  STOWAGE_CHECK(has_gradients()) << spec_.name;
  std::vector<float*> states;
  for (at::Tensor& state : optimizer_state_) states.push_back(state.data_ptr<float>());
  optimizer.Update(masters(), gradients_.for_update(), states, ranges_, scalars);
  parameters_written_ = true;
  copies_written_ = copies_.defined();
}

}  // namespace stowage
