#include "trainer/module/loss_segment.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

std::string ShapeText(const at::Tensor& t) { return absl::StrCat("[", absl::StrJoin(t.sizes(), ", "), "]"); }

// Empty if it may be a loss.
std::string WhatIsWrong(const at::Tensor& loss, bool trains) {
  if (!loss.defined()) return "it is an undefined tensor";
  if (!loss.is_floating_point())
    return absl::StrCat("it is ", c10::toString(loss.scalar_type()), ", no floating number");
  if (loss.dim() != 0) {
    return absl::StrCat("it has the shape ", ShapeText(loss), ", and a loss is a scalar: sum it over the batch");
  }
  if (trains && !loss.requires_grad()) {
    return "it does not depend on what the model gave: detach(), a conversion to whole numbers or to a C++ number cut "
           "the gradient off";
  }
  return "";
}

}  // namespace

std::vector<at::Tensor> LossSegment::Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter>,
                                             const SegmentContext& context) const {
  if (context.mode == PassMode::kPredict) return inputs;
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& input : inputs) {
    outputs.push_back(input.is_floating_point() ? input.to(at::kFloat) : input);
  }
  at::Tensor loss;
  try {
    loss = loss_(outputs, *context.batch);
  } catch (const c10::OutOfMemoryError&) {
    throw;  // no fault of the function
  } catch (const c10::Error& error) {
    throw std::invalid_argument(absl::StrCat("the loss function, given ",
                                             outputs.empty() ? "nothing" : ShapeText(outputs[0]), " by segment ",
                                             before_, ": ", error.what_without_backtrace()));
  } catch (const std::out_of_range&) {
    std::vector<std::string> there;
    for (const auto& tensor : context.batch->tensors) there.push_back(tensor.first);
    throw std::invalid_argument(absl::StrCat(
        "the loss function asks the batch for a tensor that it does not have; it has ", absl::StrJoin(there, ", ")));
  }
  const std::string wrong = WhatIsWrong(loss, context.mode == PassMode::kTrain);
  if (!wrong.empty()) throw std::invalid_argument(absl::StrCat("what the loss function returned is no loss: ", wrong));
  return {loss};
}

}  // namespace stowage
