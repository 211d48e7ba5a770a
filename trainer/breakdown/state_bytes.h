// Bytes of what lasts over a step: parameters, gradients, optimizer state; whole, and sharded by a ZeRO stage.
//
// Source: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models",
// arXiv:1910.02054, section 5 and figure 1: with N ranks stage 1 divides the optimizer's bytes by N, stage 2 the
// gradients' too, stage 3 the parameters' too. Adam in mixed precision is 2 + 2 + 12 bytes a parameter there.
//
// Padding (each parameter begins at 64 bytes) is left out, as are the buffers that a stage gathers and reduces in.
// Pure functions; thread-safe.
#ifndef STOWAGE_TRAINER_BREAKDOWN_STATE_BYTES_H_
#define STOWAGE_TRAINER_BREAKDOWN_STATE_BYTES_H_

#include <cstdint>

#include "trainer/breakdown/model_sizes.h"
#include "trainer/config/config.h"

namespace stowage {

// Bytes, of one rank.
struct StateBytes {
  int64_t parameters = 0;
  int64_t gradients = 0;
  int64_t optimizer = 0;

  int64_t total() const { return parameters + gradients + optimizer; }
};

// Everything in 16 bits, Adam's two moments too: 2 + 2 + 4 bytes a parameter.
StateBytes StatesIn16Bits(int64_t parameters);
// 16-bit parameters and gradients, fp32 master weights and Adam's two moments: 2 + 2 + 12 = 16 bytes a parameter.
StateBytes MixedPrecisionStates(int64_t parameters);

// What Stowage holds at ZeRO 0. fp32: 4 + 4 + the optimizer's states. bf16: gradients are fp32 all the same, because
// micro-batches are summed in them; a copy in bf16 is held of what products read; the fp32 masters of groups that have
// copies count as optimizer. The embedding reads its masters, so only a head that uses its matrix makes a copy of it.
// Each part is its own most: copies are gone when the update begins.
StateBytes OwnStates(const ParameterCounts& counts, const OptimizerConfig& optimizer, bool bf16);

// One rank's part of `whole` at `stage` (0 to 3) with `ranks` >= 1, rounded up.
StateBytes Sharded(const StateBytes& whole, int stage, int64_t ranks);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_BREAKDOWN_STATE_BYTES_H_
