#include "trainer/rehearsal/meta_view.h"

#include <ATen/EmptyTensor.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <optional>

namespace stowage {
namespace {

at::Tensor OnStorage(const c10::Storage& storage, c10::DispatchKey key, const at::Tensor& like) {
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key),
                                                               like.dtype());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

bool SameShape(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.strides() == b.strides() && a.storage_offset() == b.storage_offset();
}

}  // namespace

c10::Storage DryStorage(size_t bytes) {
  c10::Allocator* const allocator = c10::GetCPUAllocator();
  return c10::Storage(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes,
                                                            allocator->allocate(bytes), allocator,
                                                            /*resizable=*/true));
}

at::Tensor DryTensor(const c10::Storage& storage, at::IntArrayRef sizes, at::IntArrayRef strides, int64_t offset,
                     at::ScalarType dtype) {
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), c10::scalarTypeToTypeMeta(dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides, offset);
  return tensor;
}

at::Tensor DryEmpty(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype) {
  return DryTensor(DryStorage(at::detail::computeStorageNbytes(sizes, strides, c10::elementSize(dtype))), sizes, strides,
                   /*offset=*/0, dtype);
}

at::Tensor DryEmpty(at::IntArrayRef sizes, at::ScalarType dtype) {
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<int64_t>(1, sizes[d]);
  }
  return DryEmpty(sizes, strides, dtype);
}

c10::Storage MetaView::MetaStorageOf(const at::Tensor& tensor) {
  const c10::Storage& given = tensor.storage();
  for (const auto& [known, meta] : storages_) {
    if (known.unsafeGetStorageImpl() == given.unsafeGetStorageImpl()) return meta;
  }
  c10::Allocator* const allocator = c10::GetAllocator(c10::DeviceType::Meta);
  c10::Storage meta(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), given.nbytes(),
                                                          allocator->allocate(given.nbytes()), allocator,
                                                          /*resizable=*/true));
  storages_.emplace_back(given, meta);
  return meta;
}

at::Tensor MetaView::ToMeta(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.is_meta()) return tensor;
  for (const auto& [given, meta] : tensors_) {
    if (given.is_same(tensor)) return meta;
  }
  at::Tensor meta = OnStorage(MetaStorageOf(tensor), c10::DispatchKey::Meta, tensor);
  tensors_.emplace_back(tensor, meta);
  return meta;
}

c10::IValue MetaView::ToMeta(const c10::IValue& value) {
  if (value.isTensor()) return ToMeta(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(ToMeta(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      list.push_back(tensor.has_value() ? std::optional<at::Tensor>(ToMeta(*tensor)) : std::nullopt);
    }
    return list;
  }
  return value;
}

void MetaView::GrowStorages() {
  for (auto& [given, meta] : storages_) {
    if (meta.nbytes() <= given.nbytes()) continue;
    c10::StorageImpl* const storage = given.unsafeGetStorageImpl();
    storage->set_data_ptr(c10::GetCPUAllocator()->allocate(meta.nbytes()));
    storage->set_nbytes(meta.nbytes());
  }
}

at::Tensor MetaView::FromMeta(const at::Tensor& meta) {
  if (!meta.defined() || !meta.is_meta()) return meta;
  for (const auto& [given, known] : tensors_) {
    if (!known.is_same(meta)) continue;
    if (!SameShape(given, meta)) {
      given.unsafeGetTensorImpl()->set_sizes_and_strides(meta.sizes(), meta.strides(), meta.storage_offset());
    }
    return given;
  }
  const c10::StorageImpl* const storage = meta.storage().unsafeGetStorageImpl();
  for (const auto& [given, known] : storages_) {
    if (known.unsafeGetStorageImpl() == storage) return OnStorage(given, c10::DispatchKey::CPU, meta);
  }
  storages_.emplace_back(DryStorage(meta.storage().nbytes()), meta.storage());
  return OnStorage(storages_.back().first, c10::DispatchKey::CPU, meta);
}

c10::IValue MetaView::FromMeta(const c10::IValue& value) {
  if (value.isTensor()) return FromMeta(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(FromMeta(tensor));
    return list;
  }
  return value;
}

}  // namespace stowage
