// Tensors with a name of their own among the largest holders.
#ifndef STOWAGE_MEMORY_TRACKED_TENSOR_H_
#define STOWAGE_MEMORY_TRACKED_TENSOR_H_

#include <ATen/core/Tensor.h>

#include "absl/strings/string_view.h"
#include "memory/category.h"

namespace stowage {

// at::empty, at::zeros of `shape` on the CPU, entered under `category` and listed by name, shape and dtype, whatever
// its size, until its bytes are freed. Names need not differ. Costs three small mallocs beside the tensor; the name is
// gone with it. Throws what LibTorch throws when memory is short: the allocator asks its source, and with it every
// limit, before bytes are taken. Without the counting allocator it is a plain tensor.
at::Tensor TrackedEmpty(absl::string_view name, at::IntArrayRef shape, at::ScalarType dtype, Category category);
at::Tensor TrackedZeros(absl::string_view name, at::IntArrayRef shape, at::ScalarType dtype, Category category);

// Names the bytes of a tensor that is there already, of the counting allocator or not (then nothing is done). The
// newest name holds. `tensor` may be a view: the name, its shape and its dtype (one of base/dtype.h's, or of one byte)
// are told of the bytes behind it. Thread-safe for different tensors.
void NameTensor(absl::string_view name, const at::Tensor& tensor);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TRACKED_TENSOR_H_
