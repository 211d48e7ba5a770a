// Element types, without LibTorch: what buffers, files and wires are made of.
#ifndef STOWAGE_BASE_DTYPE_H_
#define STOWAGE_BASE_DTYPE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

enum class DType : uint8_t { kFloat32, kBFloat16, kFloat16, kFloat64, kInt32, kInt64, kUInt8, kUInt16 };

// Bytes of one element.
constexpr int64_t DTypeBytes(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kBFloat16:
    case DType::kFloat16:
    case DType::kUInt16:
      return 2;
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kUInt8:
      return 1;
  }
  return 0;
}

// The name safetensors gives it: F32, BF16, F16, F64, I32, I64, U8, U16.
constexpr absl::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "F32";
    case DType::kBFloat16:
      return "BF16";
    case DType::kFloat16:
      return "F16";
    case DType::kFloat64:
      return "F64";
    case DType::kInt32:
      return "I32";
    case DType::kInt64:
      return "I64";
    case DType::kUInt8:
      return "U8";
    case DType::kUInt16:
      return "U16";
  }
  return "?";
}

}  // namespace stowage

#endif  // STOWAGE_BASE_DTYPE_H_
