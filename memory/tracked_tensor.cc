#include "memory/tracked_tensor.h"

#include <ATen/ops/empty.h>

#include <memory>
#include <string>

#include "base/check.h"
#include "memory/category_scope.h"
#include "memory/counting_allocator.h"

namespace stowage {
namespace {

DType DTypeOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kBFloat16:
      return DType::kBFloat16;
    case at::kHalf:
      return DType::kFloat16;
    case at::kDouble:
      return DType::kFloat64;
    case at::kInt:
      return DType::kInt32;
    case at::kLong:
      return DType::kInt64;
    case at::kUInt16:
      return DType::kUInt16;
    default:
      STOWAGE_CHECK(c10::elementSize(type) == 1) << c10::toString(type);
      return DType::kUInt8;
  }
}

}  // namespace

void NameTensor(absl::string_view name, const at::Tensor& tensor) {
  auto description = std::make_unique<BlockDescription>();
  description->name = std::string(name);
  description->shape = tensor.sizes().vec();
  description->dtype = DTypeOf(tensor.scalar_type());
  DescribeBlock(tensor.storage().data_ptr(), std::move(description));
}

at::Tensor TrackedEmpty(absl::string_view name, at::IntArrayRef shape, at::ScalarType dtype, Category category) {
  const CategoryScope scope(category);
  at::Tensor tensor = at::empty(shape, dtype);
  NameTensor(name, tensor);
  return tensor;
}

at::Tensor TrackedZeros(absl::string_view name, at::IntArrayRef shape, at::ScalarType dtype, Category category) {
  return TrackedEmpty(name, shape, dtype, category).zero_();
}

}  // namespace stowage
