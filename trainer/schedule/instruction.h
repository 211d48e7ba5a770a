// A training step as a list that can be read.
//
// ZeRO stages, recompute, offload and accumulation are not branches in a loop: each is another list. A planner writes
// it, the executor plays it in order. Instructions of other lanes (communication) are issued where they stand and end
// at the `wait` that names their event; buffers are freed there and nowhere else.
//
// Here so far: forward, backward, release, reduce, agree, update, wait. Gather, fetch, evict, stash, unstash and
// recompute join as further values of Op with the same fields. What makes a list sound is in verifier.h, what each
// instruction does to buffers in instruction_effects.h.
//
// Plain data. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_H_
#define STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace stowage {

enum class Op : uint8_t {
  kForward,   // run segment `target` on micro-batch `micro`
  kBackward,  // gradients of segment `target` into its groups' gradient buffers, and to the segment before
  kRelease,   // drop group `target`'s copies in the compute dtype: no instruction of this step reads them any more
  kReduce,    // sum group `target`'s gradient buffer over ranks; ends at event `event`
  kAgree,     // ranks agree on loss, tokens, norm, trouble and signals; the end of what can be undone
  kUpdate,    // optimizer step on this rank's part of group `target`
  kWait,      // wait for event `event`
};

// What forward leaves behind.
enum class Keep : uint8_t {
  kAll,      // all that backward needs
  kNothing,  // only the output, until the next segment has read it
};

struct Instruction {
  Op op = Op::kForward;
  int target = -1;  // what TargetOf says
  int micro = -1;   // which of this rank's micro-batches, from 0 (forward, backward)
  int event = -1;   // set by reduce, named by wait
  Keep keep = Keep::kAll;
};

inline bool operator==(const Instruction& a, const Instruction& b) {
  return a.op == b.op && a.target == b.target && a.micro == b.micro && a.event == b.event && a.keep == b.keep;
}

struct Schedule {
  std::string name;  // "train step", "evaluation"
  std::vector<Instruction> instructions;
  int micro_batches = 0;  // per rank
  int events = 0;
};

// What is played is equal; names may differ.
inline bool operator==(const Schedule& a, const Schedule& b) {
  return a.micro_batches == b.micro_batches && a.events == b.events && a.instructions == b.instructions;
}

absl::string_view OpName(Op op);

// What an instruction's `target` is an index of.
enum class TargetKind : uint8_t { kNone, kSegment, kGroup };
TargetKind TargetOf(Op op);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_H_
