#include "trainer/checkpoint/tensor_shape.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

constexpr DType kAllDTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64,
                                DType::kInt32,   DType::kInt64,    DType::kUInt8,   DType::kUInt16};

}  // namespace

absl::StatusOr<DType> DTypeOfName(absl::string_view name) {
  std::string known;
  for (DType dtype : kAllDTypes) {
    if (DTypeName(dtype) == name) return dtype;
    absl::StrAppend(&known, known.empty() ? "" : ", ", DTypeName(dtype));
  }
  return absl::InvalidArgumentError(absl::StrCat("dtype \"", name, "\" is unknown; known are ", known));
}

absl::StatusOr<int64_t> NumelOfShape(const std::vector<int64_t>& shape, DType dtype) {
  int64_t numel = 1;
  bool too_many = false;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", ShapeText(shape), " has a negative dimension"));
    }
    empty = empty || dim == 0;
    too_many = too_many || __builtin_mul_overflow(numel, dim, &numel);
  }
  if (empty) return 0;
  int64_t bytes = 0;
  if (too_many || __builtin_mul_overflow(numel, DTypeBytes(dtype), &bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ShapeText(shape), " of ", DTypeName(dtype), " has 2^63 bytes or more"));
  }
  return numel;
}

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

}  // namespace stowage
