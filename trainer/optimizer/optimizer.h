// The update of one flat fp32 buffer: what AdamW and SGD have in common.
//
// An optimizer owns no state: the buffers that it keeps from step to step are the caller's, who says where they live
// and which part of them this rank holds. An element's result does not depend on how buffers are cut into shards or
// ranges (see kernels/adamw.h).
#ifndef STOWAGE_TRAINER_OPTIMIZER_OPTIMIZER_H_
#define STOWAGE_TRAINER_OPTIMIZER_OPTIMIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/config/config.h"
#include "trainer/optimizer/ranges.h"

namespace stowage {

// What changes from step to step.
struct UpdateScalars {
  double lr = 0.0;              // LearningRate() of this step
  int64_t step = 1;             // 1 for the first update
  double gradient_scale = 1.0;  // each gradient is multiplied by it: clipping coefficient / global token count
};

// Updates go through a range in pieces of this many elements: 32 MiB of each buffer, so that whoever streams state
// from host or disk later holds that much at a time, and never a group.
inline constexpr int64_t kUpdatePieceNumel = int64_t{8} << 20;

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Names of the state buffers, each fp32 and as long as the parameters, all zero before the first update. The names
  // are PyTorch's, for checkpoints. In the order in which Update() takes them; may be empty.
  virtual const std::vector<std::string>& state_tensors() const = 0;

  // Updates parameters[i] and states[k][i] from gradients[i] for every i in `ranges`, writes the new parameters in bf16
  // where a range asks for that, and touches no other element.
  // Ranges: ascending, not overlapping; gaps (padding) stay as they are. `states`: one per state_tensors().
  // Splits over LibTorch's threads; not to be called from two threads on the same elements.
  void Update(float* parameters, const float* gradients, absl::Span<float* const> states,
              absl::Span<const OptimizerRange> ranges, const UpdateScalars& scalars) const;

 protected:
  // Elements of one range: all of one learning rate and decay. The pointers are those of the first of them.
  struct Piece {
    float* parameters;
    const float* gradients;
    absl::Span<float* const> states;
    uint16_t* bf16;  // null: no copy is wanted
    int64_t numel;
    double lr;
    bool decay;
  };

 private:
  virtual void UpdatePiece(const Piece& piece, const UpdateScalars& scalars) const = 0;
};

// InvalidArgument: optimizer.kind is neither adamw nor sgd, or optimizer.schedule.kind is none of constant, linear,
// cosine. Other fields are taken as checked by the config's parser.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const OptimizerConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_OPTIMIZER_H_
