#include "trainer/state/group_gradients.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/dry.h"
#include "memory/tracked_tensor.h"

namespace stowage {
namespace {

void Zero(float* begin, float* end) {
  if (!kernels::Dry()) std::fill(begin, end, 0.0f);
}

}  // namespace

GroupGradients::GroupGradients(const GroupSpec& spec, const FlatLayout& layout, int rank)
    : spec_(spec), layout_(layout), rank_(rank), slots_(spec.parameters.size()) {}

void GroupGradients::Begin(Take take) {
  reductions_ = 0;
  if (take == Take::kNow) TakeBuffer();
  OpenSlots();
}

void GroupGradients::OpenSlots() {
  for (int i = 0; i < layout_.parameters(); ++i) {
    if (buffer_.defined()) {
      slots_[i].Bind(buffer_.narrow(0, layout_.offset(i), layout_.numel(i)).view(spec_.parameters[i].shape));
    } else {
      slots_[i].BindWhenWritten([this] {
        TakeBuffer();
        OpenSlots();
      });
    }
  }
}

void GroupGradients::TakeBuffer() {
  if (buffer_.defined()) return;
  buffer_ =
      TrackedEmpty(absl::StrCat(spec_.name, " gradients"), {layout_.whole_numel()}, at::kFloat, Category::kGradients);
  // Padding takes part in reductions and norms, so it must be zero; parameters' own parts are written by slots.
  int64_t end = 0;
  for (int i = 0; i < layout_.parameters(); ++i) {
    Zero(buffer() + end, buffer() + layout_.offset(i));
    end = layout_.offset(i) + layout_.numel(i);
  }
  Zero(buffer() + end, buffer() + layout_.whole_numel());
}

void GroupGradients::TakeForReduction(bool by_micro_batch) {
  if (!buffer_.defined()) {
    TakeBuffer();
    OpenSlots();
  }
  if (sum_.defined() || !(frees_buffer() || by_micro_batch)) return;
  sum_ = TrackedEmpty(absl::StrCat(spec_.name, " summed gradients"), {sum_numel()}, at::kFloat, Category::kGradients);
}

void GroupGradients::Finish() {
  for (GradientSlot& slot : slots_) slot.ZeroIfUnwritten();
}

at::Tensor GroupGradients::ReducedPart() const {
  return sharded() ? buffer_.narrow(0, rank_ * layout_.shard_numel(), layout_.shard_numel()) : buffer_;
}

Event GroupGradients::Reduce(Communicator& communicator, bool by_micro_batch) {
  const bool summed = frees_buffer() || by_micro_batch;
  STOWAGE_CHECK(buffer_.defined() && sum_.defined() >= summed) << spec_.name << ": nothing was taken for a reduction";
  // The first reduction of a sharded step needs no place in between.
  const bool straight = summed && sharded() && reductions_ == 0;
  adds_when_done_ = summed && !straight;
  if (straight) ++reductions_;
  if (!sharded()) return communicator.AllReduce(buffer(), layout_.whole_numel(), DType::kFloat32);
  float* const to = straight ? sum_.data_ptr<float>() : buffer() + rank_ * layout_.shard_numel();
  return communicator.ReduceScatter(buffer(), to, layout_.shard_numel(), DType::kFloat32);
}

void GroupGradients::Reduced() {
  if (adds_when_done_) {
    if (reductions_++ == 0) {
      sum_.copy_(ReducedPart());
    } else {
      sum_.add_(ReducedPart());
    }
    adds_when_done_ = false;
  }
  if (frees_buffer()) buffer_ = at::Tensor();
  if (reductions_ > 0) OpenSlots();
}

void GroupGradients::Release() {
  for (GradientSlot& slot : slots_) slot = GradientSlot();
  buffer_ = at::Tensor();
  sum_ = at::Tensor();
}

const float* GroupGradients::for_update() {
  if (reductions_ > 0) return sum_.data_ptr<float>();
  return buffer() + (sharded() ? rank_ * layout_.shard_numel() : 0);
}

const float* GroupGradients::owned() { return for_update() + (sharded() ? 0 : rank_ * layout_.shard_numel()); }

}  // namespace stowage
