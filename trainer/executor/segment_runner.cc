#include "trainer/executor/segment_runner.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/check.h"

namespace stowage {

std::vector<at::Tensor> RunForward(const SegmentSpec& segment, const std::vector<at::Tensor>& inputs,
                                   const std::vector<Parameter>& parameters, const SegmentContext& context,
                                   Tape* tape) {
  at::AutoGradMode mode(tape != nullptr);
  std::vector<at::Tensor> leaves;
  leaves.reserve(inputs.size());
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.is_floating_point() ? input.detach().to(segment.compute) : input.detach());
    if (tape != nullptr && input.is_floating_point()) leaves.back().set_requires_grad(true);
  }
  std::vector<at::Tensor> outputs = segment.segment->Forward(leaves, parameters, context);
  std::vector<at::Tensor> free_outputs;
  free_outputs.reserve(outputs.size());
  for (const at::Tensor& output : outputs) free_outputs.push_back(output.detach());
  if (tape != nullptr) {
    tape->inputs = std::move(leaves);
    tape->outputs = std::move(outputs);
    tape->parameters = segment.segment->Leaves(parameters);
  }
  return free_outputs;
}

std::vector<at::Tensor> RunBackward(const std::vector<Parameter>& parameters,
                                    const std::vector<at::Tensor>& output_gradients, Tape* tape) {
  STOWAGE_CHECK(output_gradients.size() == tape->outputs.size())
      << output_gradients.size() << " gradients for " << tape->outputs.size() << " outputs";
  std::vector<at::Tensor> roots, root_gradients;
  for (size_t i = 0; i < tape->outputs.size(); ++i) {
    if (!tape->outputs[i].requires_grad() || !output_gradients[i].defined()) continue;
    roots.push_back(tape->outputs[i]);
    root_gradients.push_back(output_gradients[i].to(tape->outputs[i].scalar_type()));
  }
  std::vector<at::Tensor> wanted;
  for (const at::Tensor& input : tape->inputs) {
    if (input.requires_grad()) wanted.push_back(input);
  }
  const size_t input_count = wanted.size();
  STOWAGE_CHECK(tape->parameters.size() == parameters.size()) << tape->parameters.size();
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].gradient != nullptr) wanted.push_back(tape->parameters[i]);
  }
  tape->outputs.clear();
  tape->parameters.clear();
  // Frees what the graph saved as it goes; parameters whose operators wrote their own slot come back undefined.
  std::vector<at::Tensor> gradients =
      torch::autograd::grad(roots, wanted, root_gradients, /*retain_graph=*/false, /*create_graph=*/false,
                            /*allow_unused=*/true);

  std::vector<at::Tensor> input_gradients;
  size_t next = 0;
  for (const at::Tensor& input : tape->inputs) {
    input_gradients.push_back(input.requires_grad() ? gradients[next++] : at::Tensor());
  }
  STOWAGE_CHECK(next == input_count) << next;
  for (const Parameter& p : parameters) {
    if (p.gradient == nullptr) continue;
    const at::Tensor& gradient = gradients[next++];
    if (gradient.defined()) p.gradient->Add(gradient);
  }
  tape->inputs.clear();
  return input_gradients;
}

}  // namespace stowage
