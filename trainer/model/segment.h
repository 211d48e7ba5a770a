// A segment: what runs, and is recomputed, as one piece.
//
// The attention or the feed-forward half of a layer, the embedding, the head. A segment is always the autograd cut,
// under every policy, so that policies cannot change bits. It maps several tensors to several tensors and sees a
// read-only batch context.
#ifndef STOWAGE_TRAINER_MODEL_SEGMENT_H_
#define STOWAGE_TRAINER_MODEL_SEGMENT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "trainer/data/batch.h"
#include "trainer/model/parameter.h"
#include "trainer/schedule/recompute_span.h"

namespace stowage {

enum class PassMode {
  kTrain,     // loss with gradients; dropout on
  kEvaluate,  // loss without gradients; dropout off
  kPredict,   // no targets: the last segment gives logits
};

struct SegmentContext {
  PassMode mode = PassMode::kTrain;
  const Batch* batch = nullptr;
  uint64_t random_key = 0;              // of (seed, step, micro-batch's index in the global batch, segment)
  at::ScalarType compute = at::kFloat;  // SegmentSpec::compute
  double loss_scale = 1.0;              // the gradient that the loss will get: for those that need it in forward
};

class Segment {
 public:
  virtual ~Segment() = default;

  // `inputs`: what the segment before gave (none for the first). `parameters`: in the order of SegmentSpec.
  // The last segment's first output is the summed loss, a scalar (kTrain, kEvaluate), or logits (kPredict). In
  // kEvaluate it may have a second one, an int64 scalar: how many of the batch's samples were classed right. Must be a
  // function of its arguments only; may throw what LibTorch throws. Called by one thread at a time.
  virtual std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                          const SegmentContext& context) const = 0;

  // The tensors by which autograd knows the parameters of the last Forward: what gradients are asked for. A segment
  // around a torch::nn::Module, whose own tensors share the parameters' bytes, gives the module's.
  virtual std::vector<at::Tensor> Leaves(absl::Span<const Parameter> parameters) const {
    std::vector<at::Tensor> leaves;
    for (const Parameter& p : parameters) leaves.push_back(p.value);
    return leaves;
  }

  // Whether Forward is given its parameters in fp32 whatever it computes in, and rounds what it reads of them by
  // itself: for a segment that reads little of them, as an embedding its rows, no copy in the compute dtype is made or
  // held.
  virtual bool ReadsMasters() const { return false; }

  // Whether backward reads parameters' values. An embedding's does not: so under ZeRO 3 its matrix, often the largest of
  // the model, need not be gathered once more.
  virtual bool BackwardReadsParameters() const { return true; }

  // State that Forward changes and no gradient reaches (BatchNorm's running statistics): by name, unique in the model.
  // Floating ones are averaged over ranks before evaluation and save; others take the largest. Saved with the model.
  virtual std::vector<std::pair<std::string, at::Tensor>> Buffers() const { return {}; }
};

// Which parameter of which group.
struct ParameterId {
  int group = 0;
  int parameter = 0;
};

struct SegmentSpec {
  std::string name;
  std::vector<ParameterId> parameters;
  std::unique_ptr<Segment> segment;
  // What its inputs are cast to, and its parameters except those with ParameterSpec::keep_fp32: kFloat or kBFloat16.
  at::ScalarType compute = at::kFloat;

  // What its parameters come in, except those with ParameterSpec::keep_fp32.
  at::ScalarType parameter_dtype() const { return segment->ReadsMasters() ? at::kFloat : compute; }
};

// Groups and segments in forward order. A segment may use several groups, a group may serve several segments (tied
// weights: one group, two uses). Nothing here has bytes yet: sizes are known before a byte exists.
struct Model {
  std::vector<GroupSpec> groups;
  std::vector<SegmentSpec> segments;
  // Set by ApplySharding(): whether ranks sum up their gradients after each micro-batch, or once before the update; and
  // how many sharded groups are gathered ahead of their use.
  bool reduce_per_micro = false;
  int gather_ahead = 1;
  // Set by ApplyRecompute(): segments whose activations are computed again in backward.
  RecomputeSpans recompute;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_SEGMENT_H_
