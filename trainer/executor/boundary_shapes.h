// That no shape which depends on data leaves a segment.
//
// What a step takes and sends is known before it runs; so a segment's outputs must have shapes that follow from the
// shapes of its inputs and of the batch. Inside a segment anything goes. The check remembers, and is cheap.
// Not thread-safe.
#ifndef STOWAGE_TRAINER_EXECUTOR_BOUNDARY_SHAPES_H_
#define STOWAGE_TRAINER_EXECUTOR_BOUNDARY_SHAPES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/model/segment.h"

namespace stowage {

class BoundaryShapes {
 public:
  // FailedPrecondition if segment number `segment`, called `name`, gave other shapes before for inputs and batch of the
  // same shapes in the same mode; names both.
  absl::Status Check(int segment, const std::string& name, const std::vector<at::Tensor>& inputs,
                     const SegmentContext& context, const std::vector<at::Tensor>& outputs);

 private:
  using Shapes = std::vector<int64_t>;  // of several tensors: element type, dimensions, sizes, and so on
  static void Append(const at::Tensor& tensor, Shapes* shapes);

  std::map<Shapes, Shapes> outputs_by_inputs_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_EXECUTOR_BOUNDARY_SHAPES_H_
