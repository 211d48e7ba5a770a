#include "trainer/state/refillable_tensor.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/StorageImpl.h>
#include <c10/core/TensorImpl.h>

#include <utility>

#include "memory/tracked_tensor.h"

namespace stowage {

RefillableTensor::RefillableTensor(std::string name, int64_t numel, at::ScalarType dtype, Category category)
    : name_(std::move(name)), category_(category) {
  // The storage's size is that of its bytes even while there are none, so that views can be made at any time.
  c10::Storage storage(c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), numel * static_cast<int64_t>(c10::elementSize(dtype)),
      c10::DataPtr(nullptr, c10::Device(c10::DeviceType::CPU)), c10::GetCPUAllocator(), /*resizable=*/false));
  tensor_ = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                     c10::scalarTypeToTypeMeta(dtype));
  tensor_.unsafeGetTensorImpl()->set_sizes_contiguous({numel});
}

void RefillableTensor::Take() {
  if (present()) return;
  const at::Tensor bytes = TrackedEmpty(name_, tensor_.sizes(), tensor_.scalar_type(), category_);
  c10::DataPtr data =
      bytes.storage().unsafeGetStorageImpl()->set_data_ptr(c10::DataPtr(nullptr, c10::Device(c10::DeviceType::CPU)));
  tensor_.storage().unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(data));
}

void RefillableTensor::Release() {
  tensor_.storage().unsafeGetStorageImpl()->set_data_ptr_noswap(
      c10::DataPtr(nullptr, c10::Device(c10::DeviceType::CPU)));
}

bool RefillableTensor::present() const { return data() != nullptr; }

void* RefillableTensor::data() const { return tensor_.storage().unsafeGetStorageImpl()->mutable_data(); }

}  // namespace stowage
