#include "trainer/executor/boundary_shapes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

std::string Text(const std::vector<int64_t>& shapes) {
  std::string text;
  for (size_t at = 0; at < shapes.size(); at += 2 + shapes[at + 1]) {
    const auto first = shapes.begin() + at + 2;
    absl::StrAppend(&text, at == 0 ? "[" : " and [", absl::StrJoin(first, first + shapes[at + 1], ", "), "]");
  }
  return text;
}

}  // namespace

void BoundaryShapes::Append(const at::Tensor& tensor, Shapes* shapes) {
  shapes->push_back(tensor.defined() ? static_cast<int64_t>(tensor.scalar_type()) : -1);
  shapes->push_back(tensor.defined() ? tensor.dim() : 0);
  if (tensor.defined()) shapes->insert(shapes->end(), tensor.sizes().begin(), tensor.sizes().end());
}

absl::Status BoundaryShapes::Check(int segment, const std::string& name, const std::vector<at::Tensor>& inputs,
                                   const SegmentContext& context, const std::vector<at::Tensor>& outputs) {
  Shapes key = {segment, static_cast<int64_t>(context.mode), static_cast<int64_t>(inputs.size())};
  for (const at::Tensor& input : inputs) Append(input, &key);
  if (context.batch != nullptr) {
    for (const auto& tensor : context.batch->tensors) Append(tensor.second, &key);
  }
  Shapes shapes;
  for (const at::Tensor& output : outputs) Append(output, &shapes);
  const auto [known, is_new] = outputs_by_inputs_.emplace(std::move(key), shapes);
  if (is_new || known->second == shapes) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "segment ", name, " gives ", Text(shapes), " where it gave ", Text(known->second),
      " before, for inputs of the same shapes: a shape that depends on data cannot leave a segment. Pad it, reduce it "
      "inside, or make one segment of this one and the next"));
}

}  // namespace stowage
