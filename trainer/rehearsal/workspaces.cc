#include "trainer/rehearsal/workspaces.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "memory/peaks.h"
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
    } else {
      key << value << ",";
    }
  }
  return key.str();
}

}  // namespace

bool TakesWorkspace(const std::string& name, const c10::IValue* arguments) {
  if (IsOneOf(name, {"aten::convolution", "aten::convolution_backward", "aten::native_batch_norm",
                     "aten::native_batch_norm_backward", "aten::native_layer_norm", "aten::native_layer_norm_backward",
                     "aten::native_group_norm", "aten::native_group_norm_backward", "aten::mkldnn_rnn_layer",
                     "aten::mkldnn_rnn_layer_backward", "aten::embedding_dense_backward", "aten::huber_loss",
                     "aten::binary_cross_entropy",
                     "aten::_scaled_dot_product_flash_attention_for_cpu",
                     "aten::_scaled_dot_product_flash_attention_for_cpu_backward"})) {
    return true;
  }
  // Products of bf16 go to oneDNN, which asks LibTorch for scratch; those of fp32 copy what BLAS cannot read.
  if (!IsOneOf(name, {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"})) return false;
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
    stack->resize(stack->size() - count);
    for (const Result& result : known->second.results) {
      stack->push_back(result.defined ? DryEmpty(result.sizes, result.strides, result.dtype) : at::Tensor());
    }
    if (known->second.inside_bytes > 0) {
      const c10::DataPtr inside = c10::GetCPUAllocator()->allocate(static_cast<size_t>(known->second.inside_bytes));
    }
    return true;
  }
  if (bytes > most_bytes_) {
    unmeasured_.insert(name);
    return false;
  }
  const bool writes = std::any_of(op.schema().arguments().begin(), op.schema().arguments().end(),
                                  [](const c10::Argument& a) { return a.alias_info() != nullptr; });
  Peaks peaks;
  {
    const MarkScope mark(marks_, &peaks);
    const c10::impl::ExcludeDispatchKeyGuard real(DispatchKeySet(DispatchKey::Fake) |
                                                  c10::autograd_dispatch_keyset_with_ADInplaceOrView);
    op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  }
  if (writes) return true;  // what it did to its arguments cannot be replayed: it runs each time
  Known& made = known_[key];
  made.inside_bytes = peaks.host().total - marks_.ledger().total_live();
  for (size_t i = stack->size() - op.schema().returns().size(); i < stack->size(); ++i) {
    Result result;
    const at::Tensor tensor = (*stack)[i].toTensor();
    result.defined = tensor.defined();
    if (result.defined) {
      result.sizes = tensor.sizes().vec();
      result.strides = tensor.strides().vec();
      result.dtype = tensor.scalar_type();
    }
    made.results.push_back(std::move(result));
  }
  return true;
}

}  // namespace stowage
