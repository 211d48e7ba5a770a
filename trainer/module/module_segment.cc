#include "trainer/module/module_segment.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "trainer/module/generator_scope.h"

namespace stowage {
namespace {

std::string ShapeText(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "] ", c10::toString(tensor.scalar_type()));
}

std::string ShapesText(const std::vector<at::Tensor>& tensors) {
  return absl::StrJoin(tensors, " and ",
                       [](std::string* out, const at::Tensor& t) { absl::StrAppend(out, ShapeText(t)); });
}

bool IsNorm(const torch::nn::Module& module) {
  return module.as<torch::nn::LayerNorm>() != nullptr || module.as<torch::nn::GroupNorm>() != nullptr ||
         module.as<torch::nn::BatchNorm1d>() != nullptr || module.as<torch::nn::BatchNorm2d>() != nullptr ||
         module.as<torch::nn::BatchNorm3d>() != nullptr || module.as<torch::nn::InstanceNorm1d>() != nullptr ||
         module.as<torch::nn::InstanceNorm2d>() != nullptr || module.as<torch::nn::InstanceNorm3d>() != nullptr;
}

// The parameters that belong to normalisation layers of `module`, itself included.
std::vector<const void*> NormParameters(const torch::nn::Module& module) {
  std::vector<const void*> found;
  for (const auto& inner : module.modules(/*include_self=*/true)) {
    if (!IsNorm(*inner)) continue;
    for (const at::Tensor& p : inner->parameters(/*recurse=*/false)) found.push_back(p.unsafeGetTensorImpl());
  }
  return found;
}

absl::Status CheckParameter(const at::Tensor& p) {
  if (!p.defined()) return absl::InvalidArgumentError("is not defined");
  if (p.scalar_type() != at::kFloat) {
    return absl::InvalidArgumentError(absl::StrCat("is ", c10::toString(p.scalar_type()),
                                                   "; make it Float (precision: chooses what is computed in)"));
  }
  if (!p.device().is_cpu()) return absl::InvalidArgumentError("is not on the CPU; make the module there");
  if (!p.requires_grad()) {
    return absl::InvalidArgumentError(
        "does not require a gradient; frozen parameters are not built yet: make it a buffer");
  }
  return absl::OkStatus();
}

absl::Status CheckBuffer(const at::Tensor& b) {
  const at::ScalarType type = b.scalar_type();
  if (type == at::kFloat || type == at::kDouble || type == at::kLong) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("is ", c10::toString(type), "; buffers are Float, Double or Long, for they are saved and averaged"));
}

// LibTorch's words without its backtrace, in one line. Memory that ran short is thrown on as it is.
std::string WordsOf(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string words = torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words;
}

bool IsAboutMemory(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         absl::StrContains(error.what(), "not enough memory");
}

}  // namespace

ModuleSegment::ModuleSegment(std::string name, MakeModule make, std::string before,
                             std::vector<std::string> batch_inputs)
    : name_(std::move(name)),
      make_(std::move(make)),
      before_(std::move(before)),
      batch_inputs_(std::move(batch_inputs)) {}

absl::StatusOr<std::unique_ptr<ModuleSegment>> ModuleSegment::Create(const std::string& name, MakeModule make,
                                                                     const std::string& before,
                                                                     std::vector<std::string> batch_inputs) {
  std::unique_ptr<ModuleSegment> segment(new ModuleSegment(name, std::move(make), before, std::move(batch_inputs)));
  STOWAGE_RETURN_IF_ERROR(Annotate(segment->MakeOnce(), absl::StrCat("segment ", name)));
  return segment;
}

absl::Status ModuleSegment::MakeOnce() {
  try {
    // Buffers keep what they get here, so that must not depend on what was drawn before.
    GeneratorScope generator(HashName(name_));
    made_ = make_();
  } catch (const std::exception& error) {
    if (IsAboutMemory(error)) return absl::ResourceExhaustedError(WordsOf(error));
    return absl::InvalidArgumentError(absl::StrCat("its module could not be made: ", WordsOf(error)));
  }
  if (made_.module == nullptr) return absl::InvalidArgumentError("the function that makes its module gave none");
  const std::vector<const void*> norms = NormParameters(*made_.module);
  for (const auto& item : made_.module->named_parameters()) {
    const at::Tensor& p = item.value();
    STOWAGE_RETURN_IF_ERROR(Annotate(CheckParameter(p), absl::StrCat("parameter ", item.key())));
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (!tensors_[i].is_same(p)) continue;
      return absl::InvalidArgumentError(absl::StrCat("parameters ", specs_[i].name, " and ", name_, ".", item.key(),
                                                     " are the same tensor; tied weights inside a module are not "
                                                     "supported: let one module hold it and use it twice"));
    }
    ParameterSpec spec;
    spec.name = absl::StrCat(name_, ".", item.key());
    spec.shape = p.sizes().vec();
    spec.keep_fp32 = std::count(norms.begin(), norms.end(), p.unsafeGetTensorImpl()) > 0;
    specs_.push_back(std::move(spec));
    tensors_.push_back(p);
  }
  for (const auto& item : made_.module->named_buffers()) {
    if (!item.value().defined()) continue;
    STOWAGE_RETURN_IF_ERROR(Annotate(CheckBuffer(item.value()), absl::StrCat("buffer ", item.key())));
  }
  // From now on the bytes are the group's.
  for (at::Tensor& tensor : tensors_) tensor.set_data(at::empty({0}, at::kFloat));
  return absl::OkStatus();
}

std::vector<const void*> ModuleSegment::identities() const {
  std::vector<const void*> identities;
  for (const at::Tensor& tensor : tensors_) identities.push_back(tensor.unsafeGetTensorImpl());
  return identities;
}

std::vector<at::Tensor> ModuleSegment::InitialValues(uint64_t seed) const {
  GeneratorScope generator(HashKey({seed, HashName(name_)}));
  const MadeModule made = make_();
  std::vector<at::Tensor> values;
  for (const at::Tensor& p : made.module->parameters()) {
    const size_t i = values.size();
    if (i >= specs_.size() || p.is_same(tensors_[i]) || p.sizes() != at::IntArrayRef(specs_[i].shape)) {
      throw std::invalid_argument(absl::StrCat(
          "segment ", name_, ": the function that makes its module must make the same module anew each time, ",
          i < specs_.size() && p.is_same(tensors_[i]) ? "but gives one whose parameters it has given before"
                                                      : "but makes one with other parameters"));
    }
    values.push_back(p.detach());
  }
  if (values.size() != specs_.size()) {
    throw std::invalid_argument(absl::StrCat("segment ", name_, ": its module is made with ", specs_.size(),
                                             " parameters at first and with ", values.size(), " later"));
  }
  return values;
}

std::vector<at::Tensor> ModuleSegment::InputsFrom(const Batch& batch, at::ScalarType floating) const {
  std::vector<at::Tensor> inputs;
  for (const std::string& name : batch_inputs_) {
    const auto found = batch.tensors.find(name);
    if (found == batch.tensors.end()) {
      std::vector<std::string> there;
      for (const auto& tensor : batch.tensors) there.push_back(tensor.first);
      throw std::invalid_argument(absl::StrCat("segment ", name_, " reads \"", name, "\" of a batch, which has ",
                                               absl::StrJoin(there, ", "), "; name one with ModelBuilder::Input"));
    }
    inputs.push_back(found->second.is_floating_point() ? found->second.to(floating) : found->second);
  }
  return inputs;
}

std::vector<at::Tensor> ModuleSegment::Forward(const std::vector<at::Tensor>& inputs,
                                               absl::Span<const Parameter> parameters,
                                               const SegmentContext& context) const {
  at::ScalarType computes_in = at::kFloat;
  for (size_t i = 0; i < parameters.size(); ++i) {
    // The same bytes from step to step as a rule; then there is nothing to do.
    const at::Tensor& value = parameters[i].value;
    if (tensors_[i].data_ptr() != value.data_ptr() || tensors_[i].scalar_type() != value.scalar_type()) {
      tensors_[i].set_data(value.detach());
    }
    if (!specs_[i].keep_fp32) computes_in = value.scalar_type();
  }
  const bool train = context.mode == PassMode::kTrain;
  if (made_.module->is_training() != train) made_.module->train(train);

  const bool first = before_.empty();
  const std::vector<at::Tensor> given = first ? InputsFrom(*context.batch, computes_in) : inputs;
  try {
    GeneratorScope generator(context.random_key);
    return made_.forward(given, *context.batch);
  } catch (const std::exception& error) {
    if (IsAboutMemory(error)) throw;
    throw std::invalid_argument(absl::StrCat("segment ", name_, ", given ", ShapesText(given), " by ",
                                             first ? "the data" : absl::StrCat("segment ", before_), ": ",
                                             WordsOf(error)));
  }
}

std::vector<std::pair<std::string, at::Tensor>> ModuleSegment::Buffers() const {
  std::vector<std::pair<std::string, at::Tensor>> buffers;
  for (const auto& item : made_.module->named_buffers()) {
    if (item.value().defined()) buffers.emplace_back(absl::StrCat(name_, ".", item.key()), item.value());
  }
  return buffers;
}

}  // namespace stowage
