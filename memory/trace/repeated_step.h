// One step of a trace in a form that can be played as often as one likes: for benchmarks of the steady state.
//
// Blocks have slots in place of numbers. What came before the step is `before`; the step then frees some blocks that
// are older than itself and leaves as many of the same sizes behind (a batch, a loss): `carry` says which slot takes
// the place of which at the end of each round.
#ifndef STOWAGE_MEMORY_TRACE_REPEATED_STEP_H_
#define STOWAGE_MEMORY_TRACE_REPEATED_STEP_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/trace/allocation_trace.h"

namespace stowage {

struct RepeatedStep {
  struct Operation {
    int32_t slot = 0;
    int64_t bytes = 0;  // 0: free
  };
  std::vector<Operation> before;
  std::vector<Operation> step;
  std::vector<std::pair<int32_t, int32_t>> carry;  // (from, to)
  int32_t slots = 0;
  int64_t allocations = 0;      // of a step
  int64_t allocated_bytes = 0;  // of a step
  int64_t peak_live_bytes = 0;  // over `before` and `step`, as asked for
};

// The trace's last whole step: the one before the last that begins. FailedPrecondition: it has none, or the step does
// not leave what it found.
absl::StatusOr<RepeatedStep> RepeatLastStep(const AllocationTrace& trace);

// Plays `operations`; `blocks` holds slots' blocks and sizes. allocate(bytes) -> void*, free(block, bytes).
struct SlotBlock {
  void* block = nullptr;
  int64_t bytes = 0;
};
template <typename Allocate, typename Free>
void Play(const std::vector<RepeatedStep::Operation>& operations, std::vector<SlotBlock>& blocks,
          const Allocate& allocate, const Free& free) {
  for (const RepeatedStep::Operation& operation : operations) {
    SlotBlock& slot = blocks[operation.slot];
    if (operation.bytes > 0) {
      slot = {allocate(operation.bytes), operation.bytes};
    } else {
      free(slot.block, slot.bytes);
      slot = {};
    }
  }
}
// After each round of `step`.
inline void Carry(const RepeatedStep& step, std::vector<SlotBlock>& blocks) {
  for (const auto& [from, to] : step.carry) blocks[to] = std::exchange(blocks[from], SlotBlock());
}

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TRACE_REPEATED_STEP_H_
