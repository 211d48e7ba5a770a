#include "trainer/run/predict.h"

#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "trainer/executor/exceptions.h"
#include "trainer/executor/segment_runner.h"

namespace stowage {

absl::StatusOr<at::Tensor> Predict(ModelState& state, const Batch& batch) {
  CategoryScope scope(Category::kActivations);
  SegmentContext context;
  context.mode = PassMode::kPredict;
  context.batch = &batch;
  std::vector<at::Tensor> flow;
  STOWAGE_RETURN_IF_ERROR(CatchExceptions([&] {
    for (const SegmentSpec& segment : state.model.segments) {
      std::vector<Parameter> parameters;
      for (const ParameterId& id : segment.parameters) {
        parameters.push_back(state.groups[id.group]->parameter(id.parameter, /*with_gradient=*/false));
      }
      flow = RunForward(segment, flow, parameters, context, nullptr);
    }
  }));
  return flow[0];
}

}  // namespace stowage
