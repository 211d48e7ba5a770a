#include "trainer/run/module_buffers.h"

#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/dry.h"

namespace stowage {
namespace {

DType DTypeOf(at::ScalarType type) {
  STOWAGE_CHECK(type == at::kFloat || type == at::kDouble || type == at::kLong) << c10::toString(type);
  return type == at::kFloat ? DType::kFloat32 : type == at::kDouble ? DType::kFloat64 : DType::kInt64;
}

template <typename T>
absl::Status Mean(const ModuleBuffer& buffer, Communicator& communicator) {
  STOWAGE_RETURN_IF_ERROR(communicator.AllReduce(buffer.data, buffer.numel, buffer.dtype).Wait());
  if (kernels::Dry()) return absl::OkStatus();
  T* const data = static_cast<T*>(buffer.data);
  for (int64_t i = 0; i < buffer.numel; ++i) data[i] /= static_cast<T>(communicator.world_size());
  return absl::OkStatus();
}

absl::Status Largest(const ModuleBuffer& buffer, Communicator& communicator) {
  std::vector<int64_t> all(buffer.numel * communicator.world_size());
  STOWAGE_RETURN_IF_ERROR(communicator.AllGather(buffer.data, all.data(), buffer.numel, buffer.dtype).Wait());
  if (kernels::Dry()) return absl::OkStatus();
  int64_t* const data = static_cast<int64_t*>(buffer.data);
  for (size_t i = 0; i < all.size(); ++i) data[i % buffer.numel] = std::max(data[i % buffer.numel], all[i]);
  return absl::OkStatus();
}

}  // namespace

std::vector<ModuleBuffer> BuffersOf(const Model& model) {
  std::vector<ModuleBuffer> buffers;
  for (const SegmentSpec& segment : model.segments) {
    for (const auto& [name, tensor] : segment.segment->Buffers()) {
      STOWAGE_CHECK(tensor.is_contiguous()) << name;
      buffers.push_back({name, DTypeOf(tensor.scalar_type()), tensor.sizes().vec(), tensor.numel(), tensor.data_ptr()});
    }
  }
  return buffers;
}

absl::Status AverageBuffers(const Model& model, Communicator& communicator) {
  if (communicator.world_size() == 1) return absl::OkStatus();
  for (const ModuleBuffer& buffer : BuffersOf(model)) {
    if (buffer.numel == 0) continue;
    switch (buffer.dtype) {
      case DType::kFloat32:
        STOWAGE_RETURN_IF_ERROR(Mean<float>(buffer, communicator));
        break;
      case DType::kFloat64:
        STOWAGE_RETURN_IF_ERROR(Mean<double>(buffer, communicator));
        break;
      default:
        STOWAGE_RETURN_IF_ERROR(Largest(buffer, communicator));
    }
  }
  return absl::OkStatus();
}

}  // namespace stowage
