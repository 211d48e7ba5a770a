// Writes schedules. The simple planner: replicated parameters, gradients reduced once per update; of activations what
// the spans say is kept.
//
// The list is the same on every rank: a rank with fewer micro-batches than others is handed null ones, which the
// executor plays without arithmetic, so that all ranks make the same collective calls in the same order.
//
// Pure functions. Torch-free; knows of a model only what a segment uses.
#ifndef STOWAGE_TRAINER_SCHEDULE_PLANNER_H_
#define STOWAGE_TRAINER_SCHEDULE_PLANNER_H_

#include <cstdint>

#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// forward and backward of every micro-batch; in the last one, `release g` as soon as the last backward that reads g's
// copies is done, and `reduce g` as soon as g's last use in backward is (which so overlaps with what is left; in each
// micro-batch if the model reduces by micro-batch); then wait, agree, and update in the order of the reductions. Groups of
// ZeRO 2 and 3 are reduced one at a time: their buffers go with the wait. Groups of ZeRO 1 and 2 are gathered after their
// update, those of ZeRO 3 before they are used (add_gathers.h).
//
// ModelShape::recompute must be the model's segments, in order and apart (STOWAGE_CHECK).
Schedule WriteTrainStep(const ModelShape& model, int micro_batches);

// forward of every micro-batch keeping nothing, then agree.
Schedule WriteEvaluation(const ModelShape& model, int micro_batches);

// How the global batch of `samples` is cut into micro-batches (before they are dealt to ranks, so that the cut does
// not depend on the world size): rank r gets global micro-batches r, r + world_size, ... Every rank has `per_rank`
// of them, the last ones perhaps null.
struct MicroBatchCut {
  int64_t samples = 0;
  int64_t micro_batch = 1;
  int world_size = 1;

  int64_t total() const { return (samples + micro_batch - 1) / micro_batch; }
  int per_rank() const { return static_cast<int>((total() + world_size - 1) / world_size); }
  // Index of rank's m-th micro-batch in the global batch; >= total() for a null one.
  int64_t GlobalIndex(int rank, int m) const { return static_cast<int64_t>(m) * world_size + rank; }
  int64_t First(int64_t global_index) const { return global_index * micro_batch; }
  int64_t Size(int64_t global_index) const {
    if (global_index >= total()) return 0;
    const int64_t left = samples - First(global_index);
    return left < micro_batch ? left : micro_batch;
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_PLANNER_H_
