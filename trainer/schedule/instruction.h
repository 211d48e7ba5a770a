// A training step as a list that can be read.
//
// ZeRO stages, recompute, offload and accumulation are not branches in a loop: each is another list. A planner writes
// it, the executor plays it in order. Instructions of other lanes (communication) are issued where they stand and end
// at the `wait` that names their event; buffers are freed there and nowhere else.
//
// Here so far: forward, recompute, backward, gather, release, reduce, agree, update, wait. Fetch, evict, stash and
// unstash join as further values of Op with the same fields. What makes a list sound is in verifier.h, what each
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
  kRecompute,  // run it again, for what its backward needs: same inputs, same random numbers, no second loss
  kBackward,  // gradients of segment `target` into its groups' gradient buffers, and to the segment before
  kGather,    // make group `target`'s parameters whole from the ranks' shards, as segments read them; ends at `event`
  kRelease,   // drop group `target`'s copies in the compute dtype, or under ZeRO 3 what was gathered
  kReduce,    // sum group `target`'s gradient buffer over ranks: of micro-batch `micro`, or if -1 of all; ends at `event`
  kAgree,     // ranks agree on loss, tokens, norm, trouble and signals; the end of what can be undone
  kUpdate,    // optimizer step on this rank's part of group `target`
  kWait,      // wait for event `event`
};

// What forward and recompute leave behind, beside the output, which is there until the next segment has read it.
enum class Keep : uint8_t {
  kAll,      // all that backward needs
  kNothing,  // nothing
  kInputs,   // its inputs, for a recompute
};

// Where a recompute takes its inputs from.
enum class From : uint8_t {
  kBefore,  // from what the recompute of the segment before gave
  kKept,    // from what its forward, or an earlier recompute, kept; if it keeps them no longer, they go
};

struct Instruction {
  Op op = Op::kForward;
  int target = -1;  // what TargetOf says
  int micro = -1;   // which of this rank's micro-batches, from 0 (forward, recompute, backward); of reduce and
                    // update, where gradients are reduced by micro-batch: the one, and the last one; else -1
  int event = -1;   // set by gather and reduce, named by wait
  Keep keep = Keep::kAll;     // of forward and recompute
  From from = From::kBefore;  // of recompute
};

inline bool operator==(const Instruction& a, const Instruction& b) {
  return a.op == b.op && a.target == b.target && a.micro == b.micro && a.event == b.event && a.keep == b.keep &&
         a.from == b.from;
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
// "all", "nothing", "inputs".
absl::string_view KeepName(Keep keep);

// Whether `keep` says something of it.
inline bool HasKeep(Op op) { return op == Op::kForward || op == Op::kRecompute; }

// What an instruction's `target` is an index of.
enum class TargetKind : uint8_t { kNone, kSegment, kGroup };
TargetKind TargetOf(Op op);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_H_
