// A loss that a program brings, as the last segment.
//
// It gets what the last module gives, in fp32, and the micro-batch, and returns the loss summed over the batch's loss
// terms (Batch::loss_terms): over its samples as a rule. Without targets (kPredict) it passes on what it gets.
#ifndef STOWAGE_TRAINER_MODULE_LOSS_SEGMENT_H_
#define STOWAGE_TRAINER_MODULE_LOSS_SEGMENT_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/model/segment.h"

namespace stowage {

using LossFunction = std::function<at::Tensor(const std::vector<at::Tensor>& outputs, const Batch& batch)>;

class LossSegment : public Segment {
 public:
  // `before`: the name of the last module's segment, for messages.
  LossSegment(LossFunction loss, std::string before) : loss_(std::move(loss)), before_(std::move(before)) {}

  // Throws std::invalid_argument: what the loss function returned is no floating scalar, or (kTrain) does not depend on
  // what it was given; or the function threw.
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;

 private:
  const LossFunction loss_;
  const std::string before_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_LOSS_SEGMENT_H_
