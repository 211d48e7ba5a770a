// Dtypes and shapes as files and messages spell them.
#ifndef STOWAGE_TRAINER_CHECKPOINT_TENSOR_SHAPE_H_
#define STOWAGE_TRAINER_CHECKPOINT_TENSOR_SHAPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/dtype.h"

namespace stowage {

// The dtype that DTypeName spells so ("F32"). InvalidArgument lists the names known.
absl::StatusOr<DType> DTypeOfName(absl::string_view name);

// The product of `shape`; 1 for no dimensions. InvalidArgument: a negative dimension, or 2^63 bytes and more.
absl::StatusOr<int64_t> NumelOfShape(const std::vector<int64_t>& shape, DType dtype);

// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_TENSOR_SHAPE_H_
