#include "trainer/data/samples/sample_dataset.h"

#include <ATen/ops/empty.h>

#include <functional>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

int64_t Numel(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<int64_t>());
}

}  // namespace

absl::StatusOr<std::unique_ptr<SampleDataset>> SampleDataset::Create(std::unique_ptr<const SampleSource> source,
                                                                     const std::vector<int64_t>& view) {
  DataShape shape = source->shape();
  if (!view.empty()) {
    if (Numel(view) != Numel(shape.input)) {
      return absl::InvalidArgumentError(absl::StrCat("data.view: [", absl::StrJoin(view, ", "), "] has ", Numel(view),
                                                     " elements, but a sample of ", source->description(), " is [",
                                                     absl::StrJoin(shape.input, ", "), "] with ", Numel(shape.input)));
    }
    shape.input = view;
  }
  return std::unique_ptr<SampleDataset>(new SampleDataset(std::move(source), std::move(shape)));
}

absl::StatusOr<Batch> SampleDataset::Read(absl::Span<const SampleId> samples) const {
  const int64_t n = static_cast<int64_t>(samples.size());
  std::vector<int64_t> input_shape = {n};
  input_shape.insert(input_shape.end(), shape_.input.begin(), shape_.input.end());
  at::Tensor inputs = at::empty(input_shape, at::TensorOptions().dtype(at::kFloat));
  at::Tensor targets = shape_.classes ? at::empty({n}, at::TensorOptions().dtype(at::kLong))
                                      : at::empty({n, shape_.outputs}, at::TensorOptions().dtype(at::kFloat));
  float* input = inputs.mutable_data_ptr<float>();
  int64_t* target_class = shape_.classes ? targets.mutable_data_ptr<int64_t>() : nullptr;
  float* numbers = shape_.classes ? nullptr : targets.mutable_data_ptr<float>();
  const int64_t numel = Numel(shape_.input);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t index = samples[i].index;
    if (index < 0 || index >= size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", index, " was asked for; the dataset has ", size(), " samples"));
    }
    STOWAGE_RETURN_IF_ERROR(source_->Read(index, input + i * numel,
                                          target_class == nullptr ? nullptr : target_class + i,
                                          numbers == nullptr ? nullptr : numbers + i * shape_.outputs));
  }
  Batch batch;
  batch.tensors["inputs"] = std::move(inputs);
  batch.tensors["targets"] = std::move(targets);
  batch.samples = n;
  batch.loss_terms = n;
  return batch;
}

}  // namespace stowage
