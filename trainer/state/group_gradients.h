// The gradients of one group over a step: where contributions are added up, their reduction over ranks, and the sum
// that the update reads.
//
//   buffer   [whole_numel] fp32    this rank's own contributions
//   sum      summed over ranks; what the update reads
//
//   stage                    0                     1                        2, 3
//   reduction                all-reduce in place   reduce-scatter in place  reduce-scatter
//   sum                      the buffer            its part in the buffer   [shard_numel], a buffer of its own
//   the buffer goes          with the update       with the update          when its reduction is done
//
// Where gradients are reduced after every micro-batch, the reduced parts are added up in the order of micro-batches: in
// a sum of its own under any stage, [whole_numel] under stage 0, [shard_numel] else. So the bits do not depend on the
// stage.
//
// Owns all buffers; a reduction keeps what it works on until its event is done. Not thread-safe.
#ifndef STOWAGE_TRAINER_STATE_GROUP_GRADIENTS_H_
#define STOWAGE_TRAINER_STATE_GROUP_GRADIENTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sharding/communicator.h"
#include "sharding/event.h"
#include "sharding/flat_layout.h"
#include "trainer/model/parameter.h"

namespace stowage {

class GroupGradients {
 public:
  // Takes nothing yet. Borrows `spec` and `layout`, which must outlive it.
  GroupGradients(const GroupSpec& spec, const FlatLayout& layout, int rank);
  GroupGradients(const GroupGradients&) = delete;
  GroupGradients& operator=(const GroupGradients&) = delete;

  // Where parameter `i`'s contributions go. Stays where it is.
  GradientSlot* slot(int i) { return &slots_[i]; }

  enum class Take { kNow, kWhenWritten };
  // A step begins: nothing has been added. The buffer, if there is none, is taken now or when the first contribution
  // comes. Throws what LibTorch throws when memory is short.
  void Begin(Take take);
  // The bytes that a reduction needs, if they are not there. Throws.
  void TakeForReduction(bool by_micro_batch);
  // Makes parts that nothing was added to zeros, so that the buffer may be reduced. Takes it if there is none. Throws.
  void Finish();
  // Starts the reduction; TakeForReduction came before. Collective. `by_micro_batch`: others come in this step.
  Event Reduce(Communicator& communicator, bool by_micro_batch);
  // To be called when its event is done. The next micro-batch may then add its own. Takes nothing.
  void Reduced();
  void Release();

  // Whether there is a buffer or a sum.
  bool present() const { return buffer_.defined() || sum_.defined(); }

  // The buffer, which must be there.
  float* buffer() { return buffer_.data_ptr<float>(); }
  // This rank's shard of the sum, [shard_numel]; once all is reduced.
  const float* owned();
  // What the update reads: all of the sum under stage 0, this rank's shard else.
  const float* for_update();

 private:
  void TakeBuffer();
  // Bound to the buffer if it is there, else to one that the first contribution takes.
  void OpenSlots();
  // What the reduction leaves of the buffer for this rank: all of it under stage 0, else its shard.
  at::Tensor ReducedPart() const;
  int64_t sum_numel() const { return sharded() ? layout_.shard_numel() : layout_.whole_numel(); }
  bool sharded() const { return spec_.zero_stage >= 1; }
  bool frees_buffer() const { return spec_.zero_stage >= 2; }

  const GroupSpec& spec_;
  const FlatLayout& layout_;
  const int rank_;
  std::vector<GradientSlot> slots_;
  at::Tensor buffer_;
  at::Tensor sum_;
  int reductions_ = 0;           // of this step, that went into `sum_`
  bool adds_when_done_ = false;  // the one under way: its part of the buffer is to be added to `sum_`
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GROUP_GRADIENTS_H_
