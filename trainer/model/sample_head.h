// The head of a model of samples that are no tokens: one linear layer to classes or numbers, and the loss.
//
// It reads the batch's "targets": int64 [n] for classes, fp32 [n, outputs] for numbers.
#ifndef STOWAGE_TRAINER_MODEL_SAMPLE_HEAD_H_
#define STOWAGE_TRAINER_MODEL_SAMPLE_HEAD_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// Parameters: weight [outputs, in], and with `bias` bias [outputs]. Output, in fp32: the loss summed over samples
// (kTrain, kEvaluate), or scores [n, outputs] (kPredict). The loss of a sample is its cross-entropy, or the mean over
// its outputs of the squared error. Where there are classes, kEvaluate has a second output: how many samples were
// classed right.
class SampleHead : public Segment {
 public:
  struct Options {
    bool classes = true;
    bool bias = true;
    double dropout = 0.0;  // of what `gather` gave
    // The segment's input -> [n, in].
    std::function<at::Tensor(const at::Tensor&)> gather;
  };

  explicit SampleHead(Options options) : options_(std::move(options)) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;

 private:
  const Options options_;
};

// Adds group and segment "head" with PyTorch's initial values of a linear layer. `config` is resolved: outputs and loss
// are set. `options.classes` is filled in from it.
void AddSampleHead(const ModelConfig& config, int64_t in, SampleHead::Options options, Model* model);

// The batch's "inputs" in the dtype that `like`, a parameter of the first segment, has.
at::Tensor InputsOf(const SegmentContext& context, const Parameter& like);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_SAMPLE_HEAD_H_
