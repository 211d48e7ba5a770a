// What LibTorch's values hold, for memory/size_estimator.h: tensors, and c10::IValue with all that nests in it (lists,
// dicts, tuples, strings, objects of TorchScript).
//
//   absl::StatusOr<int64_t> bytes = SizeOf(c10::IValue(list));
//
// Of a tensor: its storage, whole, however small the view, and once, however many tensors share it; and LibTorch's
// objects for the two. Sparse ones (COO and compressed rows or columns): indices and values. Quantised ones: scales and
// zero points too. A storage without memory (meta tensors) is 0 bytes, one on another device what it takes there.
// Of autograd: what a tensor itself carries (its gradient included), not the graph that it came from.
//
// Unimplemented: a tensor whose layout hides its memory (oneDNN's, nested), an IValue of a kind not named above.
#ifndef STOWAGE_MEMORY_TENSOR_SIZE_H_
#define STOWAGE_MEMORY_TENSOR_SIZE_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "memory/size_estimator.h"

namespace stowage {

template <>
struct Held<at::Tensor> {
  static void Add(const at::Tensor& tensor, SizeEstimator& size);
};

template <>
struct Held<c10::IValue> {
  static void Add(const c10::IValue& value, SizeEstimator& size);
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TENSOR_SIZE_H_
