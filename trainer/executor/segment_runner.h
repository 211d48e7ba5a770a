// One segment forward and backward: where schedules meet autograd.
//
// A segment is always cut from its neighbours: its inputs are detached leaves, its graph lives in its Tape from
// forward to backward and nowhere else. So the policy of what is kept cannot change what is computed.
#ifndef STOWAGE_TRAINER_EXECUTOR_SEGMENT_RUNNER_H_
#define STOWAGE_TRAINER_EXECUTOR_SEGMENT_RUNNER_H_

#include <vector>

#include <ATen/core/Tensor.h>

#include "trainer/model/segment.h"

namespace stowage {

// What a forward pass leaves behind for backward. Empty when nothing is kept.
struct Tape {
  std::vector<at::Tensor> inputs;      // leaves in the segment's compute dtype; floating ones require gradients
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> parameters;  // what autograd knows the parameters by (Segment::Leaves)
};

// Outputs without history. Floating inputs are cast to the segment's compute dtype. `tape` null: nothing is kept and no
// graph is made. May throw what LibTorch throws.
std::vector<at::Tensor> RunForward(const SegmentSpec& segment, const std::vector<at::Tensor>& inputs,
                                   const std::vector<Parameter>& parameters, const SegmentContext& context,
                                   Tape* tape);

// `output_gradients`: one per output, undefined where the output has no gradient. Adds the parameters' gradients to
// their slots and returns the inputs' gradients, in order, undefined for integer inputs. Empties the tape. A gradient
// that comes in another dtype than its output is cast to it.
std::vector<at::Tensor> RunBackward(const std::vector<Parameter>& parameters,
                                    const std::vector<at::Tensor>& output_gradients, Tape* tape);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_EXECUTOR_SEGMENT_RUNNER_H_
