// The arguments of an operator as tensors of the Meta device, and its results back as tensors of the CPU.
//
// Of each storage among the arguments there is one Meta storage, so that views, in-place and out= operators show in the
// results what they are. Not thread-safe; one for each call of an operator.
#ifndef STOWAGE_TRAINER_REHEARSAL_META_VIEW_H_
#define STOWAGE_TRAINER_REHEARSAL_META_VIEW_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Storage.h>

#include <utility>
#include <vector>

namespace stowage {

// A CPU tensor over new bytes of LibTorch's CPU allocator: which are not written.
at::Tensor DryEmpty(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype);
// The same, contiguous.
at::Tensor DryEmpty(at::IntArrayRef sizes, at::ScalarType dtype);

// On new bytes of their own number: an operator may keep more than its result shows.
c10::Storage DryStorage(size_t bytes);
at::Tensor DryTensor(const c10::Storage& storage, at::IntArrayRef sizes, at::IntArrayRef strides, int64_t offset,
                     at::ScalarType dtype);

class MetaView {
 public:
  // Tensors, lists of tensors and optional ones become Meta; everything else is itself.
  c10::IValue ToMeta(const c10::IValue& value);
  at::Tensor ToMeta(const at::Tensor& tensor);

  // After the operator ran. A result that is an argument is that argument again, with the shape that it has now; one on
  // an argument's storage is a view of it; others get storage of their own. Throws what the allocator throws.
  c10::IValue FromMeta(const c10::IValue& value);
  at::Tensor FromMeta(const at::Tensor& meta);

  // Storages that the operator made longer (resize_, out=) get as many bytes. Before FromMeta.
  void GrowStorages();

 private:
  c10::Storage MetaStorageOf(const at::Tensor& tensor);

  std::vector<std::pair<at::Tensor, at::Tensor>> tensors_;       // given, meta
  std::vector<std::pair<c10::Storage, c10::Storage>> storages_;  // given or made, meta
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_REHEARSAL_META_VIEW_H_
