#include "trainer/state/sharded_parameters.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/dtype.h"
#include "kernels/cast.h"
#include "kernels/dry.h"
#include "memory/tracked_tensor.h"

namespace stowage {
namespace {

std::vector<int> Chosen(const std::vector<bool>& of) {
  std::vector<int> chosen;
  for (size_t i = 0; i < of.size(); ++i) {
    if (of[i]) chosen.push_back(static_cast<int>(i));
  }
  return chosen;
}

Event AllGather(Communicator& communicator, const GatherLayout& layout, char* gathered, DType dtype) {
  const int rank = communicator.rank();
  const std::vector<int64_t>& numels = layout.part_numels();
  int64_t begin = 0;
  for (int peer = 0; peer < rank; ++peer) begin += numels[peer];
  const char* const mine = gathered + begin * DTypeBytes(dtype);
  return layout.even() ? communicator.AllGather(mine, gathered, numels[rank], dtype)
                       : communicator.AllGatherUneven(mine, gathered, numels, dtype);
}

}  // namespace

ShardedParameters::Form::Form(const GroupSpec& spec, const FlatLayout& whole, int world_size, std::vector<int> chosen,
                              at::ScalarType dtype)
    : layout(whole, world_size, chosen),
      bytes(absl::StrCat(spec.name, " parameters"), layout.numel(), dtype, Category::kParameters),
      leaves(spec.parameters.size()) {
  for (size_t k = 0; k < chosen.size(); ++k) {
    const int i = chosen[k];
    at::Tensor leaf = bytes.tensor()
                          .narrow(0, layout.offset(static_cast<int>(k)), whole.numel(i))
                          .view(spec.parameters[i].shape)
                          .detach();
    leaves[i] = leaf.set_requires_grad(true);
  }
}

ShardedParameters::ShardedParameters(const GroupSpec& spec, const FlatLayout& layout, int world_size, int rank,
                                     const std::vector<bool>& in_fp32, const std::vector<bool>& in_bf16)
    : layout_(layout), world_size_(world_size), rank_(rank), keeps_gathered_(spec.zero_stage < 3) {
  STOWAGE_CHECK(spec.zero_stage >= 1 && spec.zero_stage <= 3) << spec.name << ": stage " << spec.zero_stage;
  STOWAGE_CHECK(rank >= 0 && rank < world_size) << rank << " of " << world_size;
  const std::vector<int> fp32 = Chosen(in_fp32), bf16 = Chosen(in_bf16);
  if (!fp32.empty()) fp32_ = std::make_unique<Form>(spec, layout_, world_size, fp32, at::kFloat);
  if (!bf16.empty()) bf16_ = std::make_unique<Form>(spec, layout_, world_size, bf16, at::kBFloat16);
  if (keeps_gathered_) TakeGathered();
  if (keeps_gathered_ && static_cast<int>(fp32.size()) == layout_.parameters()) {
    shard_data_ = static_cast<float*>(fp32_->bytes.data()) + rank * layout_.shard_numel();
    return;
  }
  shard_ = TrackedZeros(absl::StrCat(spec.name, bf16_ != nullptr ? " master weights" : " shard of the parameters"),
                        {layout_.shard_numel()}, at::kFloat,
                        bf16_ != nullptr ? Category::kOptimizer : Category::kParameters);
  shard_data_ = shard_.data_ptr<float>();
}

const at::Tensor& ShardedParameters::leaf(int i, at::ScalarType dtype) const {
  const std::unique_ptr<Form>& form = dtype == at::kFloat ? fp32_ : bf16_;
  STOWAGE_CHECK(form != nullptr && form->leaves[i].defined()) << "parameter " << i << " in " << c10::toString(dtype);
  return form->leaves[i];
}

void ShardedParameters::TakeGathered() {
  if (fp32_ != nullptr) fp32_->bytes.Take();
  if (bf16_ != nullptr) bf16_->bytes.Take();
}

void ShardedParameters::ReleaseGathered() {
  if (keeps_gathered_) return;
  if (fp32_ != nullptr) fp32_->bytes.Release();
  if (bf16_ != nullptr) bf16_->bytes.Release();
}

bool ShardedParameters::gathered() const {
  return (fp32_ == nullptr || fp32_->bytes.present()) && (bf16_ == nullptr || bf16_->bytes.present());
}

void ShardedParameters::Write(const float* from, int64_t first, int rank, Form& form) {
  if (kernels::Dry()) return;
  for (const GatherLayout::Run& run : form.layout.part(rank)) {
    const float* const values = from + (run.whole - first);
    if (form.bytes.tensor().scalar_type() == at::kBFloat16) {
      kernels::CastFp32ToBf16(values, static_cast<uint16_t*>(form.bytes.data()) + run.gathered, run.numel);
      continue;
    }
    float* const to = static_cast<float*>(form.bytes.data()) + run.gathered;
    if (to != values) std::copy_n(values, run.numel, to);  // the shard may be a part of it
  }
}

void ShardedParameters::Keep(const float* whole) {
  if (!kernels::Dry()) {
    std::copy_n(whole + rank_ * layout_.shard_numel(), layout_.shard_numel(), shard_data_);
  }
  if (!keeps_gathered_) return;
  for (Form* form : {fp32_.get(), bf16_.get()}) {
    for (int rank = 0; rank < world_size_ && form != nullptr; ++rank) Write(whole, 0, rank, *form);
  }
}

std::vector<Event> ShardedParameters::Gather(Communicator& communicator) {
  STOWAGE_CHECK(gathered()) << "a gather into bytes that were not taken";
  std::vector<Event> events;
  const auto gather = [&](Form& form, DType dtype) {
    Write(shard_data_, rank_ * layout_.shard_numel(), rank_, form);
    events.push_back(AllGather(communicator, form.layout, static_cast<char*>(form.bytes.data()), dtype));
  };
  if (fp32_ != nullptr) gather(*fp32_, DType::kFloat32);
  if (bf16_ != nullptr) gather(*bf16_, DType::kBFloat16);
  return events;
}

}  // namespace stowage
