#include "trainer/rehearsal/workspaces.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "memory/peaks.h"
#include "memory/thread_counts.h"
#include "trainer/rehearsal/meta_view.h"

namespace stowage {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;

bool IsOneOf(const std::string& name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
}

void AddTensor(const at::Tensor& tensor, std::ostream* key, int64_t* bytes) {
  if (!tensor.defined()) {
    *key << "undefined,";
    return;
  }
  *key << c10::toString(tensor.scalar_type()) << tensor.sizes() << tensor.strides() << ",";
  *bytes += tensor.numel() * static_cast<int64_t>(tensor.element_size());
}

// A tensor of the same shape and type, of zeros, which no ledger counts: a rehearsal's tensors hold whatever their
// pages held before, and an operator may check its indices or probabilities. Its pages come when they are written, so
// never.
at::Tensor ZerosLike(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const size_t bytes =
      std::max<size_t>(1, at::detail::computeStorageNbytes(tensor.sizes(), tensor.strides(), tensor.element_size()));
  void* const pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) C10_THROW_ERROR(OutOfMemoryError, "no addresses for an operator that is to be measured");
  return at::from_blob(
      pages, tensor.sizes(), tensor.strides(), [bytes](void* p) { munmap(p, bytes); },
      at::TensorOptions().dtype(tensor.scalar_type()));
}

// The tensors among a call's arguments, lists' included, one after another.
std::vector<at::Tensor> TensorsOf(const c10::IValue* arguments, size_t count) {
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < count; ++i) {
    const c10::IValue& value = arguments[i];
    if (value.isTensor()) tensors.push_back(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) tensors.push_back(tensor);
    }
    if (value.isOptionalTensorList()) {
      for (const auto& tensor : value.toOptionalTensorVector()) tensors.push_back(tensor.value_or(at::Tensor()));
    }
  }
  return tensors;
}

c10::IValue ZerosLike(const c10::IValue& value) {
  if (value.isTensor()) return ZerosLike(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(ZerosLike(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      list.push_back(tensor.has_value() ? std::optional<at::Tensor>(ZerosLike(*tensor)) : std::nullopt);
    }
    return list;
  }
  return value;
}

// What tells one call from another, and the bytes of its tensors.
std::string KeyOf(const std::string& name, const c10::IValue* arguments, size_t count, int64_t* bytes) {
  std::ostringstream key;
  key << name << "(";
  *bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    const c10::IValue& value = arguments[i];
    if (value.isTensor()) {
      AddTensor(value.toTensor(), &key, bytes);
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) AddTensor(tensor, &key, bytes);
    } else if (value.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
        AddTensor(tensor.value_or(at::Tensor()), &key, bytes);
      }
    } else {
      key << value << ",";
    }
  }
  return key.str();
}

// Arithmetic on floating numbers, whatever they are.
bool ReadsAnything(const std::string& name) {
  return IsOneOf(name,
                 {"aten::convolution", "aten::convolution_backward", "aten::native_batch_norm",
                  "aten::native_batch_norm_backward", "aten::native_layer_norm", "aten::native_layer_norm_backward",
                  "aten::native_group_norm", "aten::native_group_norm_backward", "aten::mkldnn_rnn_layer",
                  "aten::mkldnn_rnn_layer_backward", "aten::_scaled_dot_product_flash_attention_for_cpu",
                  "aten::_scaled_dot_product_flash_attention_for_cpu_backward", "aten::mm", "aten::addmm", "aten::bmm",
                  "aten::baddbmm"});
}

}  // namespace

bool TakesWorkspace(const std::string& name, const c10::IValue* arguments) {
  if (IsOneOf(name, {"aten::embedding_dense_backward", "aten::huber_loss", "aten::binary_cross_entropy"})) return true;
  if (!ReadsAnything(name)) return false;
  // Products of bf16 go to oneDNN, which asks LibTorch for scratch; those of fp32 copy what BLAS cannot read.
  if (!IsOneOf(name, {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"})) return true;
  for (int i = 0; i < 2; ++i) {
    const at::Tensor& x = arguments[i].toTensor();
    if (at::isReducedFloatingType(x.scalar_type())) return true;
    if (x.dim() >= 2 && !x.is_contiguous() && !x.transpose(-1, -2).is_contiguous()) return true;
  }
  return false;
}

bool Workspaces::Play(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  int64_t bytes = 0;
  const std::string key = KeyOf(name, stack->data() + (stack->size() - count), count, &bytes);
  const auto known = known_.find(key);
  if (known != known_.end()) {
    // Held to the end, as the operator holds them.
    const std::vector<c10::IValue> arguments(stack->end() - static_cast<int64_t>(count), stack->end());
    const std::vector<at::Tensor> tensors = TensorsOf(arguments.data(), count);
    stack->resize(stack->size() - count);
    std::vector<c10::Storage> storages;
    for (const Result& result : known->second.results) {
      const size_t number = storages.size();
      storages.push_back(!result.defined              ? c10::Storage()
                         : result.argument >= 0       ? tensors[result.argument].storage()
                         : result.storage_of < number ? storages[result.storage_of]
                                                      : DryStorage(result.storage_bytes));
      stack->push_back(result.defined
                           ? DryTensor(storages.back(), result.sizes, result.strides, result.offset, result.dtype)
                           : at::Tensor());
    }
    if (known->second.inside_bytes > 0) {
      const c10::DataPtr inside = c10::GetCPUAllocator()->allocate(static_cast<size_t>(known->second.inside_bytes));
    }
    return true;
  }
  if (bytes > most_bytes_) {
    int64_t& largest = unmeasured_[name];
    largest = std::max(largest, bytes);
    return false;
  }
  const bool writes = std::any_of(op.schema().arguments().begin(), op.schema().arguments().end(),
                                  [](const c10::Argument& a) { return a.alias_info() != nullptr; });
  Peaks peaks;
  // Held to the end; and what of it is handed on is the caller's own again afterwards, not the zeros.
  const std::vector<c10::IValue> given(stack->end() - static_cast<int64_t>(count), stack->end());
  std::vector<at::Tensor> zeros;
  {
    const c10::impl::ExcludeDispatchKeyGuard real(DispatchKeySet(DispatchKey::Fake) |
                                                  c10::autograd_dispatch_keyset_with_ADInplaceOrView);
    for (size_t i = 0; i < count && !ReadsAnything(name); ++i) {
      const c10::AliasInfo* alias = op.schema().arguments()[i].alias_info();
      c10::IValue& value = (*stack)[stack->size() - count + i];
      if (alias == nullptr || !alias->isWrite()) value = ZerosLike(value);
    }
    zeros = TensorsOf(stack->data() + (stack->size() - count), count);
    const TeamScope team;  // a backward of attention takes buffers on every thread
    const MarkScope mark(marks_, &peaks);
    op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  }
  if (writes) return true;  // what it did to its arguments cannot be replayed: it runs each time
  Known& made = known_[key];
  made.inside_bytes = peaks.host().total - marks_.ledger().total_live();
  const size_t first = stack->size() - op.schema().returns().size();
  for (size_t i = first; i < stack->size(); ++i) {
    Result result;
    const at::Tensor tensor = (*stack)[i].toTensor();
    result.defined = tensor.defined();
    result.storage_of = i - first;
    if (result.defined) {
      for (size_t k = 0; k < zeros.size(); ++k) {
        if (result.argument < 0 && zeros[k].defined() && zeros[k].is_alias_of(tensor))
          result.argument = static_cast<int>(k);
      }
      result.offset = tensor.storage_offset();
      result.storage_bytes = tensor.storage().nbytes();
      for (size_t k = i; k-- > first;) {
        const at::Tensor& before = (*stack)[k].toTensor();
        if (before.defined() && before.is_alias_of(tensor)) result.storage_of = k - first;
      }
      result.sizes = tensor.sizes().vec();
      result.strides = tensor.strides().vec();
      result.dtype = tensor.scalar_type();
      if (result.argument >= 0) {
        const std::vector<at::Tensor> own = TensorsOf(given.data(), count);
        (*stack)[i] =
            DryTensor(own[result.argument].storage(), result.sizes, result.strides, result.offset, result.dtype);
      }
    }
    made.results.push_back(std::move(result));
  }
  return true;
}

}  // namespace stowage
