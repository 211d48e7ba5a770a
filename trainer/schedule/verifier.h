// Proves a schedule sound before it is played.
//
// One walk over the list, in the order in which the executor plays it, with what each instruction does to the buffers
// (instruction_effects.h) done to a table of their lives (buffer_table.h). What the table will not do breaks a rule;
// what it holds at the end should not be left. So an accepted list never makes the executor read what is not there, add
// to a gradient that is being reduced, lose a micro-batch or a contribution, or change a parameter before all ranks
// agreed to; and it leaves nothing behind.
//
// Waits cannot form a circle: an event may be waited for only where it has been raised before, so that every dependency
// points backwards in the list; and all ranks hold the same sequence of collectives (VerifySameCollectives), which
// every rank's lane runs in the order of the list.
//
// Time and memory: linear in instructions + micro-batches x segments. Pure functions. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_VERIFIER_H_
#define STOWAGE_TRAINER_SCHEDULE_VERIFIER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// What a sound schedule keeps to; RuleText says each in a sentence.
enum class Rule : uint8_t {
  kShape,
  kRange,
  kForwardOrder,
  kMicroBatchWhole,
  kTapeKept,
  kTapeUsedOnce,
  kTapeLeft,
  kRecomputeOrder,
  kRecomputeInputs,
  kRecomputeOnce,
  kRecomputeLeft,
  kBackwardOrder,
  kBackwardWhole,
  kCopiesReleased,
  kGathered,
  kGatherOnce,
  kGatheredAtEnd,
  kReduceWhole,
  kReduceOnce,
  kEventRaisedOnce,
  kEventWaited,
  kAgreeOnce,
  kAgreeSeesAll,
  kUpdateAfterAgree,
  kUpdateOnce,
  kOnlyUpdatesAfterAgree,
};
constexpr int kRules = 26;

absl::string_view RuleText(Rule rule);

struct Violation {
  Rule rule = Rule::kShape;
  // The instruction at which it shows; for what is left at the end, the one that brought it into being. The number of
  // instructions: no one alone; -1: it is the model's shape.
  int index = -1;
  std::string found;  // "no tape of layer.1 micro 0 was kept"
};

// The first violation in the order of the list; nullopt: the schedule is sound.
std::optional<Violation> FindViolation(const Schedule& schedule, const ModelShape& model);

// Internal, naming the instruction's index, its text, what was found there and the rule: whoever wrote it has a bug.
absl::Status Verify(const Schedule& schedule, const ModelShape& model);

// Whether a reserve covers the peak. `peak_bytes`: predicted, of each instruction.
// ResourceExhausted, naming the first instruction that would hold more than `reserve_bytes` and by how much.
// InvalidArgument: there is not one number for each instruction.
absl::Status VerifyReserve(const Schedule& schedule, const ModelShape& model, const std::vector<int64_t>& peak_bytes,
                           int64_t reserve_bytes);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_VERIFIER_H_
