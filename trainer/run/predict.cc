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
      context.compute = segment.compute;
      flow = RunForward(segment, flow, ParametersFor(segment, state.groups, /*with_gradient=*/false), context, nullptr);
    }
    flow[0] = flow[0].to(at::kFloat);
  }));
  return flow[0];
}

}  // namespace stowage
