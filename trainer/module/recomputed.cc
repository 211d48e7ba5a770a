#include "trainer/module/recomputed.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace stowage {
namespace {

thread_local RecomputeBook* book = nullptr;
thread_local bool active = false;

at::Tensor RandomState() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void SetRandomState(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

std::vector<at::Tensor> Values(const std::vector<at::Tensor>& buffers) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> values;
  for (const at::Tensor& buffer : buffers) values.push_back(buffer.clone());
  return values;
}

// Past autograd's versions: the graph may hold a buffer, as BatchNorm's does.
void SetValues(const std::vector<at::Tensor>& buffers, const std::vector<at::Tensor>& values) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < buffers.size(); ++i) buffers[i].variable_data().copy_(values[i]);
}

// What surrounds a run beside its arguments.
struct Surroundings {
  at::Tensor random;
  std::vector<at::Tensor> buffers;
  bool autocast = false;
  at::ScalarType autocast_dtype = at::kBFloat16;

  static Surroundings Now(const FunctionParts& parts) {
    return {RandomState(), Values(parts.buffers), at::autocast::is_autocast_enabled(at::kCPU),
            at::autocast::get_autocast_dtype(at::kCPU)};
  }
  void Set(const FunctionParts& parts) const {
    SetRandomState(random);
    SetValues(parts.buffers, buffers);
    at::autocast::set_autocast_enabled(at::kCPU, autocast);
    at::autocast::set_autocast_dtype(at::kCPU, autocast_dtype);
  }
};

// Sets surroundings, and the former ones when it ends, whatever way.
class Within {
 public:
  Within(const Surroundings& surroundings, const FunctionParts& parts)
      : parts_(parts), outer_(Surroundings::Now(parts)) {
    surroundings.Set(parts);
  }
  ~Within() { outer_.Set(parts_); }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;

 private:
  const FunctionParts& parts_;
  const Surroundings outer_;
};

// A call between its forward and its backward.
struct Call : torch::CustomClassHolder {
  TensorFunction function;
  FunctionParts parts;
  Surroundings surroundings;
  size_t inputs = 0;
  RecomputeBook* book = nullptr;
  int64_t bytes = 0;
  bool counted = false;  // the bytes, as held

  void Released() {
    if (book != nullptr && counted) book->Released(bytes);
    counted = false;
  }
  ~Call() override { Released(); }
};

std::vector<at::Tensor> Leaves(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.defined() ? input.detach().set_requires_grad(input.requires_grad()) : input);
  }
  return leaves;
}

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  // `tensors`: the inputs, then the parameters, so that autograd knows that they are used.
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList tensors,
                                                const c10::intrusive_ptr<Call>& call) {
    context->set_materialize_grads(false);
    const std::vector<at::Tensor> all(tensors.begin(), tensors.end());
    context->save_for_backward(all);
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    call->surroundings = Surroundings::Now(call->parts);
    const at::AutoGradMode autograd(true);  // operators may take another way without
    std::vector<at::Tensor> outputs = call->function(Leaves({all.begin(), all.begin() + call->inputs}));
    std::vector<at::Tensor> free_outputs;
    for (const at::Tensor& output : outputs) free_outputs.push_back(output.detach());
    return free_outputs;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const c10::intrusive_ptr<torch::CustomClassHolder> held = context->saved_data["call"].toCapsule();
    Call* const call = static_cast<Call*>(held.get());
    const std::vector<at::Tensor> all = context->get_saved_variables();
    const std::vector<at::Tensor> leaves = Leaves({all.begin(), all.begin() + call->inputs});
    std::vector<at::Tensor> outputs;
    {
      const Within within(call->surroundings, call->parts);
      const at::AutoGradMode autograd(true);
      outputs = call->function(leaves);
    }
    if (call->book != nullptr) call->book->Recomputed();
    call->Released();
    std::vector<at::Tensor> roots, root_gradients, wanted;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].requires_grad() || !gradients[i].defined()) continue;
      roots.push_back(outputs[i]);
      root_gradients.push_back(gradients[i]);
    }
    outputs.clear();
    std::vector<size_t> places;
    for (size_t i = 0; i < all.size(); ++i) {
      const at::Tensor& tensor = i < call->inputs ? leaves[i] : all[i];
      if (!tensor.defined() || !tensor.requires_grad()) continue;
      wanted.push_back(tensor);
      places.push_back(i);
    }
    torch::autograd::variable_list result(all.size() + 1);  // the call has none
    if (roots.empty() || wanted.empty()) return result;
    const std::vector<at::Tensor> found =
        torch::autograd::grad(roots, wanted, root_gradients, /*retain_graph=*/false, /*create_graph=*/false,
                              /*allow_unused=*/true);
    for (size_t i = 0; i < places.size(); ++i) result[places[i]] = found[i];
    return result;
  }
};

bool WantsGradient(const std::vector<at::Tensor>& tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.requires_grad()) return true;
  }
  return false;
}

}  // namespace

FunctionParts PartsOf(const torch::nn::Module& module) { return {module.parameters(), module.buffers()}; }

RecomputeBook::Counts RecomputeBook::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void RecomputeBook::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  counts_.made = counts_.recomputed = 0;
}

void RecomputeBook::Made(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++counts_.made;
  counts_.held_bytes += bytes;
}

void RecomputeBook::Recomputed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++counts_.recomputed;
}

void RecomputeBook::Released(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  counts_.held_bytes -= bytes;
}

RecomputeScope::RecomputeScope(RecomputeBook* inner) : outer_(book), outer_active_(active) {
  book = inner;
  active = true;
}

RecomputeScope::~RecomputeScope() {
  book = outer_;
  active = outer_active_;
}

std::vector<at::Tensor> Recomputed(const TensorFunction& function, const std::vector<at::Tensor>& inputs,
                                   const FunctionParts& parts, Recomputing when) {
  const bool wanted = at::GradMode::is_enabled() && (active || when == Recomputing::kForced) &&
                      (WantsGradient(inputs) || WantsGradient(parts.parameters));
  if (!wanted) return function(inputs);
  auto call = c10::make_intrusive<Call>();
  call->function = function;
  call->parts = parts;
  call->inputs = inputs.size();
  call->book = book;
  for (const at::Tensor& input : inputs) {
    if (input.defined()) call->bytes += static_cast<int64_t>(input.nbytes());
  }
  if (book != nullptr) book->Made(call->bytes);
  call->counted = true;
  std::vector<at::Tensor> all = inputs;
  all.insert(all.end(), parts.parameters.begin(), parts.parameters.end());
  return RecomputedFunction::apply(at::TensorList(all), call);
}

std::vector<at::Tensor> RecomputedSequence(const std::vector<SequencePart>& sequence, int segments,
                                           const std::vector<at::Tensor>& inputs, Recomputing when) {
  const int count = static_cast<int>(sequence.size());
  if (segments < 1 || segments > count) {
    throw std::invalid_argument("a sequence of " + std::to_string(count) + " functions in " + std::to_string(segments) +
                                " segments: give 1 to " + std::to_string(count));
  }
  std::vector<at::Tensor> flow = inputs;
  int first = 0;
  for (int n = 0; n < segments; ++n) {
    const int end = first + count / segments + (n < count % segments ? 1 : 0);
    std::vector<TensorFunction> functions;
    FunctionParts parts;
    for (; first < end; ++first) {
      const SequencePart& part = sequence[first];
      functions.push_back(part.function);
      parts.parameters.insert(parts.parameters.end(), part.parts.parameters.begin(), part.parts.parameters.end());
      parts.buffers.insert(parts.buffers.end(), part.parts.buffers.begin(), part.parts.buffers.end());
    }
    const auto run = [functions = std::move(functions)](const std::vector<at::Tensor>& given) {
      std::vector<at::Tensor> tensors = given;
      for (const TensorFunction& function : functions) tensors = function(tensors);
      return tensors;
    };
    flow = Recomputed(run, flow, parts, when);
  }
  return flow;
}

}  // namespace stowage
