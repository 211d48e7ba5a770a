#include "memory/tensor_size.h"

#include <ATen/SparseCsrTensorImpl.h>
#include <ATen/SparseTensorImpl.h>
#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue_inl.h>
#include <ATen/quantized/QTensorImpl.h>
#include <ATen/quantized/Quantizer.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

// c10::VariableVersion's counter, whose type is private: a counter of references and one of writes.
struct VersionCounter : c10::intrusive_ptr_target {
  std::atomic<uint32_t> version;
};

bool IsCompressed(const at::Tensor& tensor) {
  const at::Layout layout = tensor.layout();
  return layout == at::kSparseCsr || layout == at::kSparseCsc || layout == at::kSparseBsr || layout == at::kSparseBsc;
}

int64_t ImplBytes(const at::Tensor& tensor) {
  if (tensor.is_sparse()) return sizeof(at::SparseTensorImpl);
  if (IsCompressed(tensor)) return sizeof(at::SparseCsrTensorImpl);
  return tensor.is_quantized() ? sizeof(at::QTensorImpl) : sizeof(c10::TensorImpl);
}

// Beyond five dimensions sizes and strides lie outside the object.
int64_t ShapeBytes(const at::Tensor& tensor) {
  return tensor.dim() > C10_SIZES_AND_STRIDES_MAX_INLINE_SIZE ? 2 * tensor.dim() * sizeof(int64_t) : 0;
}

void AddStorage(const c10::Storage& storage, SizeEstimator& size) {
  const c10::StorageImpl* const impl = storage.unsafeGetStorageImpl();
  size.AddBlock(impl, sizeof(c10::StorageImpl));
  if (impl->data() != nullptr) size.AddBlock(impl->data(), static_cast<int64_t>(impl->nbytes()));
}

void AddQuantizer(const at::Tensor& tensor, SizeEstimator& size) {
  const at::QuantizerPtr quantizer = static_cast<at::QTensorImpl*>(tensor.unsafeGetTensorImpl())->quantizer();
  const auto* const per_channel = dynamic_cast<const at::PerChannelAffineQuantizer*>(quantizer.get());
  if (!size.AddBlock(quantizer.get(), per_channel != nullptr ? sizeof(at::PerChannelAffineQuantizer)
                                                             : sizeof(at::PerTensorAffineQuantizer))) {
    return;
  }
  if (per_channel != nullptr) size.Add(per_channel->scales()).Add(per_channel->zero_points());
}

void AddAutograd(const at::Tensor& tensor, SizeEstimator& size) {
  const auto* const meta = static_cast<torch::autograd::AutogradMeta*>(tensor.unsafeGetTensorImpl()->autograd_meta());
  if (meta == nullptr) return;
  if (meta->is_view_) {
    const auto* const view = static_cast<const torch::autograd::DifferentiableViewMeta*>(meta);
    size.AddBlock(meta, sizeof(*view));
    if (view->has_bw_view()) size.Add(view->get_backward_view().base_);  // it lives as long as the view
  } else {
    size.AddBlock(meta, sizeof(*meta));
  }
  size.Add(meta->grad_);
}

using Dict = c10::detail::DictImpl;
using DictEntry = ska_ordered::detailv3::sherwood_v3_entry<std::pair<c10::IValue, c10::IValue>>;

// LibTorch's hash table: its slots, then as many as a search may run on, and one entry apart that marks the end.
int64_t TableBytes(const Dict& dict) {
  constexpr uint64_t kLeastLookups = ska_ordered::detailv3::min_lookups;
  const uint64_t slots = dict.dict.bucket_count();
  uint64_t run_on = 0;
  while ((uint64_t{2} << run_on) <= slots) ++run_on;  // log2
  const uint64_t entries = slots == 0 ? kLeastLookups : slots + std::max(kLeastLookups, run_on);
  return static_cast<int64_t>((entries + 1) * sizeof(DictEntry));
}

// Adds what `value` itself holds; what is inside it goes to `inside`.
void AddOne(const c10::IValue& value, SizeEstimator& size, std::vector<const c10::IValue*>& inside) {
  if (value.isNone() || value.isInt() || value.isDouble() || value.isBool() || value.isDevice()) return;
  if (value.isTensor()) {
    size.Add(value.toTensor());
    return;
  }
  const void* const object = value.internalToPointer();
  if (value.isString()) {
    if (size.AddBlock(object, sizeof(c10::ivalue::ConstantString))) size.Add(value.toStringRef());
  } else if (value.isList()) {
    const auto* const list =
        static_cast<const c10::detail::ListImpl*>(static_cast<const c10::intrusive_ptr_target*>(object));
    if (!size.AddBlock(list, sizeof(c10::detail::ListImpl))) return;
    if (list->list.capacity() > 0) {
      size.AddBlock(list->list.data(), static_cast<int64_t>(list->list.capacity() * sizeof(c10::IValue)));
    }
    for (const c10::IValue& element : list->list) inside.push_back(&element);
  } else if (value.isGenericDict()) {
    const auto* const dict = static_cast<const Dict*>(static_cast<const c10::intrusive_ptr_target*>(object));
    if (!size.AddBlock(dict, sizeof(Dict))) return;
    size.AddBlockOf(dict, TableBytes(*dict));
    for (const auto& entry : dict->dict) {
      inside.push_back(&entry.first);
      inside.push_back(&entry.second);
    }
  } else if (value.isTuple()) {
    const c10::ivalue::Tuple& tuple = value.toTupleRef();
    if (!size.AddBlock(&tuple, sizeof(tuple))) return;
    const auto& elements = tuple.elements();
    if (elements.empty()) return;
    const auto* const first = reinterpret_cast<const char*>(&elements[0]);
    const auto* const begin = reinterpret_cast<const char*>(&tuple);
    const bool inline_elements = first >= begin && first < begin + sizeof(tuple);  // up to three lie there
    if (!inline_elements) size.AddBlock(first, static_cast<int64_t>(elements.size() * sizeof(c10::IValue)));
    for (size_t i = 0; i < elements.size(); ++i) inside.push_back(&elements[i]);
  } else if (value.isObject()) {
    const c10::ivalue::Object& instance = value.toObjectRef();
    if (!size.AddBlock(&instance, sizeof(instance))) return;
    const std::vector<c10::IValue>& slots = instance.slots();
    if (slots.capacity() > 0) {
      size.AddBlock(slots.data(), static_cast<int64_t>(slots.capacity() * sizeof(c10::IValue)));
    }
    for (const c10::IValue& slot : slots) inside.push_back(&slot);
  } else if (value.isStorage()) {
    AddStorage(value.toStorage(), size);
  } else if (value.isComplexDouble()) {
    size.AddBlock(object, sizeof(c10::ivalue::ComplexHolder));
  } else {
    size.Fail(absl::UnimplementedError(absl::StrCat("the size of a value of kind ", value.tagKind(),
                                                    " cannot be told; tensors, numbers, strings, ",
                                                    "lists, dicts, tuples and objects of them can")));
  }
}

}  // namespace

void Held<at::Tensor>::Add(const at::Tensor& tensor, SizeEstimator& size) {
  if (!tensor.defined()) return;
  const c10::TensorImpl* const impl = tensor.unsafeGetTensorImpl();
  const bool sparse = tensor.is_sparse(), compressed = IsCompressed(tensor);
  if (tensor.is_nested() || (!tensor.has_storage() && !sparse && !compressed)) {
    size.Fail(absl::UnimplementedError(absl::StrCat("the size of a tensor of layout ",
                                                    tensor.is_nested() ? "Nested" : c10::str(tensor.layout()),
                                                    " cannot be told; make it dense or sparse")));
    return;
  }
  if (!size.AddBlock(impl, ImplBytes(tensor))) return;
  // Views have their base's counter.
  const int64_t counter = tensor.is_inference() || tensor.is_view() ? 0 : sizeof(VersionCounter);
  size.AddBlockOf(impl, ShapeBytes(tensor) + counter);
  AddAutograd(tensor, size);
  if (sparse) {
    const auto* const coo = static_cast<const at::SparseTensorImpl*>(impl);
    size.Add(coo->indices()).Add(coo->values());
  } else if (compressed) {
    const auto* const rows = static_cast<const at::SparseCsrTensorImpl*>(impl);
    size.Add(rows->compressed_indices()).Add(rows->plain_indices()).Add(rows->values());
  } else {
    AddStorage(tensor.storage(), size);
    if (tensor.is_quantized()) AddQuantizer(tensor, size);
  }
}

// With a list of what is still to be looked at: values may nest deeper than a stack reaches, and contain themselves.
void Held<c10::IValue>::Add(const c10::IValue& value, SizeEstimator& size) {
  std::vector<const c10::IValue*> waiting = {&value};
  while (!waiting.empty()) {
    const c10::IValue* const next = waiting.back();
    waiting.pop_back();
    AddOne(*next, size, waiting);
  }
}

}  // namespace stowage
