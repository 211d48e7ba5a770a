#include "trainer/rehearsal/dry_run.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/DispatchKey.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "trainer/rehearsal/meta_view.h"
#include "trainer/rehearsal/shape_functions.h"

namespace stowage {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;
using torch::jit::Stack;

thread_local Workspaces* current_workspaces = nullptr;

// How an operator is played without bytes.
enum class Way {
  kNothing,  // it writes into arguments only, and returns them
  kShape,    // by a function of ours
  kParts,    // it is made of other operators, which come here one by one
  kMeta,     // by its Meta kernel
  kReal,     // only running it tells
  kReadsValue,
  kValueShape,  // its result's shape depends on values
  kUnknown,
};

bool IsOneOf(const std::string& name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
}

// All that is returned is an argument that is written, and keeps its shape: one named `out` takes the result's.
bool ReturnsWhatItWrites(const c10::FunctionSchema& schema) {
  if (schema.returns().empty()) return false;
  if (std::any_of(schema.arguments().begin(), schema.arguments().end(),
                  [](const c10::Argument& a) { return a.is_out(); })) {
    return false;
  }
  return std::all_of(schema.returns().begin(), schema.returns().end(), [](const c10::Argument& result) {
    return result.alias_info() != nullptr && result.alias_info()->isWrite();
  });
}

Way WayOf(const c10::OperatorHandle& op, const std::string& name) {
  if (IsOneOf(name, {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::_is_all_true",
                     "aten::_is_any_true", "aten::allclose"})) {
    return Way::kReadsValue;
  }
  if (IsOneOf(name, {"aten::nonzero", "aten::masked_select", "aten::_unique", "aten::_unique2", "aten::unique_dim",
                     "aten::unique_consecutive", "aten::unique_dim_consecutive", "aten::bincount",
                     "aten::repeat_interleave.Tensor"})) {
    return Way::kValueShape;
  }
  // Registered as made of parts, but its parts read and write bytes.
  if (name == "aten::copy_") return Way::kNothing;
  if (ShapeFunctionOf(name) != nullptr) return Way::kShape;
  const bool own = op.hasKernelForDispatchKey(DispatchKey::CPU) || op.hasKernelForDispatchKey(DispatchKey::Meta);
  const bool parts = op.hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) ||
                     op.hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutogradNonFunctional) ||
                     op.hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd);
  if (parts && !own) return Way::kParts;
  if (op.hasKernelForDispatchKey(DispatchKey::Meta)) return Way::kMeta;
  if (ReturnsWhatItWrites(op.schema())) return Way::kNothing;
  // Of LibTorch's own it is known which depend on values.
  const bool native = absl::StartsWith(name, "aten::") && op.hasKernelForDispatchKey(DispatchKey::CPU);
  return native ? Way::kReal : Way::kUnknown;
}

std::string Describe(const c10::OperatorHandle& op, const Stack& stack) {
  std::string text;
  const size_t count = op.schema().arguments().size();
  for (size_t i = 0; i < count; ++i) {
    const c10::IValue& value = stack[stack.size() - count + i];
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    const at::Tensor& tensor = value.toTensor();
    absl::StrAppend(&text, text.empty() ? "" : ", ", op.schema().arguments()[i].name(), " ",
                    c10::toString(tensor.scalar_type()), " [");
    for (int64_t d = 0; d < tensor.dim(); ++d) absl::StrAppend(&text, d == 0 ? "" : ", ", tensor.size(d));
    absl::StrAppend(&text, "]");
  }
  return text.empty() ? "no tensors" : text;
}

// The two tensors on top of the stack are the same elements: equal, whatever they hold.
bool AreOneTensor(const Stack& stack) {
  const at::Tensor &a = stack[stack.size() - 2].toTensor(), &b = stack[stack.size() - 1].toTensor();
  return a.is_alias_of(b) && a.sizes() == b.sizes() && a.strides() == b.strides() &&
         a.storage_offset() == b.storage_offset() && a.scalar_type() == b.scalar_type();
}

std::vector<c10::IValue> Pop(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  std::vector<c10::IValue> arguments(stack->end() - static_cast<int64_t>(count), stack->end());
  stack->resize(stack->size() - count);
  return arguments;
}

// Results of an operator that gives back what it wrote, in the order of its writable arguments.
void ReturnWritten(const c10::OperatorHandle& op, Stack* stack) {
  const std::vector<c10::IValue> arguments = Pop(op, stack);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const c10::AliasInfo* alias = op.schema().arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) stack->push_back(arguments[i]);
  }
}

// On the CPU an operator whose arguments are of several types copies those that are not of the type it computes in, for
// as long as it runs (TensorIterator; a number among tensors is one of them). The Meta device does not.
int64_t BytesOfCopies(const std::string& name, const std::vector<c10::IValue>& arguments, const c10::IValue& returned) {
  const auto bytes = [](const at::Tensor& x, at::ScalarType dtype) {
    return x.numel() * static_cast<int64_t>(c10::elementSize(dtype));
  };
  if (!returned.isTensor() || !arguments[0].isTensor()) return 0;
  const at::Tensor &x = arguments[0].toTensor(), &y = returned.toTensor();
  if (name == "aten::sum.dim_IntList") {
    return x.scalar_type() == y.scalar_type() ? 0 : bytes(x, y.scalar_type());
  }
  if (name == "aten::mean.dim") {
    // In fp32, and its result as well before it is cast back; otherwise the sum is divided by a number, an int64 that
    // is cast.
    if (at::isReducedFloatingType(y.scalar_type())) return bytes(x, at::kFloat) + bytes(y, at::kFloat);
    return static_cast<int64_t>(c10::elementSize(at::kLong) + c10::elementSize(y.scalar_type()));
  }
  if (!IsOneOf(name, {"aten::add.Tensor", "aten::add_.Tensor", "aten::sub.Tensor", "aten::sub_.Tensor",
                      "aten::mul.Tensor", "aten::mul_.Tensor", "aten::div.Tensor", "aten::div_.Tensor"})) {
    return 0;
  }
  int64_t copies = 0;
  for (int i = 0; i < 2; ++i) {
    const at::Tensor& operand = arguments[i].toTensor();
    if (operand.scalar_type() != y.scalar_type()) copies += bytes(operand, y.scalar_type());
  }
  return copies;
}

void PlayMeta(const c10::OperatorHandle& op, const std::string& name, Stack* stack) {
  const std::vector<c10::Argument>& formal = op.schema().arguments();
  std::vector<c10::IValue> arguments = Pop(op, stack);
  MetaView view;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (formal[i].name() == "device") {
      stack->push_back(c10::Device(c10::DeviceType::Meta));
    } else {
      stack->push_back(view.ToMeta(arguments[i]));
    }
  }
  {
    const c10::impl::ExcludeDispatchKeyGuard not_here(DispatchKeySet(DispatchKey::Fake) |
                                                      c10::autograd_dispatch_keyset_with_ADInplaceOrView);
    op.redispatchBoxed(DispatchKeySet(DispatchKey::Meta), stack);
  }
  view.GrowStorages();
  const size_t results = op.schema().returns().size();
  for (size_t i = stack->size() - results; i < stack->size(); ++i) (*stack)[i] = view.FromMeta((*stack)[i]);
  const int64_t copies = results == 1 ? BytesOfCopies(name, arguments, stack->back()) : 0;
  if (copies > 0) const c10::DataPtr held = c10::GetCPUAllocator()->allocate(static_cast<size_t>(copies));
}

void Play(const c10::OperatorHandle& op, DispatchKeySet, Stack* stack) {
  const c10::OperatorName& operator_name = op.operator_name();
  const std::string name = operator_name.overload_name.empty()
                               ? operator_name.name
                               : absl::StrCat(operator_name.name, ".", operator_name.overload_name);
  thread_local std::unordered_map<std::string, Way> ways;
  auto known = ways.find(name);
  if (known == ways.end()) known = ways.emplace(name, WayOf(op, name)).first;
  if (name == "aten::equal" && AreOneTensor(*stack)) {
    stack->resize(stack->size() - 2);
    stack->push_back(true);
    return;
  }
  const c10::IValue* const arguments = stack->data() + (stack->size() - op.schema().arguments().size());
  if ((known->second == Way::kReal || TakesWorkspace(name, arguments)) && current_workspaces != nullptr &&
      current_workspaces->Play(op, name, stack)) {
    return;
  }
  switch (known->second) {
    case Way::kNothing:
      return ReturnWritten(op, stack);
    case Way::kShape: {
      std::vector<c10::IValue> results = ShapeFunctionOf(name)(Pop(op, stack));
      stack->insert(stack->end(), results.begin(), results.end());
      return;
    }
    case Way::kParts:
      op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
      return;
    case Way::kMeta:
      return PlayMeta(op, name, stack);
    case Way::kReal:
      C10_THROW_ERROR(NotImplementedError,
                      absl::StrCat(name, " (", Describe(op, *stack),
                                   ") is too large to be run in a rehearsal, and only running it tells what comes out; "
                                   "rehearse a smaller micro-batch, or add a shape function "
                                   "(trainer/rehearsal/shape_functions.cc)"));
    case Way::kReadsValue:
      C10_THROW_ERROR(NotImplementedError,
                      absl::StrCat(name, " reads a value (", Describe(op, *stack),
                                   "), and a rehearsal has none: item() and if (tensor) cannot be rehearsed; compute "
                                   "with tensors instead, for instance at::where, or train without a plan (stowage "
                                   "train --no-plan)"));
    case Way::kValueShape:
      C10_THROW_ERROR(NotImplementedError,
                      absl::StrCat(name, " (", Describe(op, *stack),
                                   "): the shape of its result depends on values, and a rehearsal has none; keep the "
                                   "shape and mask instead, for instance with at::where, or train without a plan "
                                   "(stowage train --no-plan)"));
    case Way::kUnknown:
      C10_THROW_ERROR(NotImplementedError,
                      absl::StrCat(name, " (", Describe(op, *stack),
                                   ") is not known to the rehearsal: it has no Meta kernel; add one that computes its "
                                   "result's shape (TORCH_LIBRARY_IMPL(..., Meta, m)), or train without a plan "
                                   "(stowage train --no-plan)"));
  }
}

}  // namespace

TORCH_LIBRARY_IMPL(_, Fake, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&Play>()); }

DryRun::DryRun(LedgerMarks& marks, int64_t most_measured_bytes)
    : workspaces_(marks, most_measured_bytes), fake_(DispatchKeySet(DispatchKey::Fake)) {
  TORCH_CHECK(current_workspaces == nullptr, "a dry run within a dry run");
  current_workspaces = &workspaces_;
}

DryRun::~DryRun() { current_workspaces = nullptr; }

RealTensors::RealTensors() : fake_(DispatchKeySet(DispatchKey::Fake)), kernels_(false) {}

}  // namespace stowage
