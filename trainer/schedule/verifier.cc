#include "trainer/schedule/verifier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trainer/schedule/buffer_table.h"
#include "trainer/schedule/instruction_effects.h"
#include "trainer/schedule/schedule_table.h"

namespace stowage {
namespace {

bool In(int index, size_t count) { return index >= 0 && static_cast<size_t>(index) < count; }

// What is wrong with the shape itself; empty: nothing.
std::string ShapeFault(const ModelShape& model) {
  const size_t segments = model.segments.size(), groups = model.groups.size();
  if (model.groups_used.size() != segments) {
    return absl::StrCat(segments, " segments, and groups used by ", model.groups_used.size());
  }
  if (!model.copied.empty() && model.copied.size() != groups) {
    return absl::StrCat(groups, " groups, and ", model.copied.size(), " marks of copies");
  }
  if (!model.copies_read_by_backward.empty() && model.copies_read_by_backward.size() != segments) {
    return absl::StrCat(segments, " segments, and copies read by ", model.copies_read_by_backward.size());
  }
  if (!model.zero_stages.empty() && model.zero_stages.size() != groups) {
    return absl::StrCat(groups, " groups, and ", model.zero_stages.size(), " ZeRO stages");
  }
  if (!model.backward_reads_parameters.empty() && model.backward_reads_parameters.size() != segments) {
    return absl::StrCat(segments, " segments, and what backward reads of ", model.backward_reads_parameters.size());
  }
  if (!model.frozen.empty() && model.frozen.size() != groups) {
    return absl::StrCat(groups, " groups, and ", model.frozen.size(), " marks of frozen ones");
  }
  if (model.first_trained < 0 || (segments > 0 && !In(model.first_trained, segments))) {
    return absl::StrCat("the first trained segment is ", model.first_trained, " of ", segments);
  }
  for (size_t g = 0; g < groups; ++g) {
    const int stage = model.zero_stage(static_cast<int>(g));
    if (stage < 0 || stage > 3) return absl::StrCat(model.groups[g], " has ZeRO stage ", stage);
    if (stage > 0 && model.has_copies(static_cast<int>(g))) {
      return absl::StrCat(model.groups[g], " is sharded, and has copies of whole parameters");
    }
  }
  for (size_t s = 0; s < segments; ++s) {
    const std::vector<int>& used = model.groups_used[s];
    for (size_t i = 0; i < used.size(); ++i) {
      if (!In(used[i], groups)) return absl::StrCat(model.segments[s], " uses group ", used[i], " of ", groups);
      if (std::find(used.begin(), used.begin() + i, used[i]) != used.begin() + i) {
        return absl::StrCat(model.segments[s], " names group ", model.groups[used[i]], " twice");
      }
    }
    for (int g : used) {
      if (static_cast<int>(s) >= model.first_trained || model.is_frozen(g)) continue;
      return absl::StrCat(model.segments[s], " is before the first trained segment, and uses ", model.groups[g],
                          ", which is trained");
    }
    for (int g : model.read_by_backward(s)) {
      if (std::find(used.begin(), used.end(), g) == used.end()) {
        return absl::StrCat(model.segments[s], " reads copies of group ", g, ", which it does not use");
      }
    }
  }
  return "";
}

// Whether the instruction's indices are the model's and the schedule's; empty: they are.
std::string RangeFault(const Instruction& i, const Schedule& schedule, const ModelShape& model) {
  const auto outside = [](const char* what, int index, size_t count) {
    return absl::StrCat(what, " ", index, " of ", count);
  };
  switch (i.op) {
    case Op::kForward:
    case Op::kRecompute:
    case Op::kBackward:
      if (!In(i.target, model.segments.size())) return outside("segment", i.target, model.segments.size());
      if (!In(i.micro, schedule.micro_batches)) return outside("micro-batch", i.micro, schedule.micro_batches);
      return "";
    case Op::kGather:
    case Op::kReduce:
    case Op::kRelease:
    case Op::kUpdate:
      if (!In(i.target, model.groups.size())) return outside("group", i.target, model.groups.size());
      if (i.op == Op::kGather && model.zero_stage(i.target) == 0) {
        return absl::StrCat("a gather of ", model.groups[i.target], ", which is not sharded");
      }
      if (i.op == Op::kReduce || i.op == Op::kUpdate) {
        const bool fits = model.reduce_per_micro ? In(i.micro, schedule.micro_batches) : i.micro == -1;
        if (!fits) return outside("micro-batch", i.micro, model.reduce_per_micro ? schedule.micro_batches : 0);
      }
      if ((i.op == Op::kReduce || i.op == Op::kGather) && !In(i.event, schedule.events)) return outside("event", i.event, schedule.events);
      return "";
    case Op::kWait:
      if (!In(i.event, schedule.events)) return outside("event", i.event, schedule.events);
      return "";
    case Op::kAgree:
      return "";
  }
  return absl::StrCat("an instruction that there is not: ", static_cast<int>(i.op));
}

std::string BufferText(Buffer buffer, const ModelShape& model) {
  const auto of_segment = [&](const char* what) {
    return absl::StrCat("the ", what, " of ", model.segments[buffer.target], " micro ", buffer.micro);
  };
  switch (buffer.kind) {
    case BufferKind::kBatch:
      return absl::StrCat("the batch of micro ", buffer.micro);
    case BufferKind::kFlow:
      return of_segment("output");
    case BufferKind::kTape:
      return of_segment("tape");
    case BufferKind::kInputs:
      return of_segment("kept input");
    case BufferKind::kReplay:
      return of_segment("recomputed output");
    case BufferKind::kGradientFlow:
      return of_segment("input's gradient");
    case BufferKind::kCopies:
      return absl::StrCat("the copy of ", model.groups[buffer.target]);
    case BufferKind::kParameters:
      return absl::StrCat("what is whole of ", model.groups[buffer.target]);
    case BufferKind::kGradients:
      return absl::StrCat("the gradient of ", model.groups[buffer.target]);
    case BufferKind::kEvent:
      return absl::StrCat("event e", buffer.target);
    case BufferKind::kAgreement:
      return "the agreement";
  }
  return "?";
}

const char* FaultText(const Effect& effect, Fault fault) {
  if (fault == Fault::kLent && effect.buffer.kind == BufferKind::kParameters) return "is still being gathered";
  if (fault == Fault::kIncomplete && effect.act == Act::kSettle) return "has not been reduced";
  switch (fault) {
    case Fault::kNone:
      return "is as it should be";
    case Fault::kNever:
      return "is not there";
    case Fault::kGone:
      return "has been there and is gone";
    case Fault::kThere:
      return "is there already";
    case Fault::kLent:
      return "is still being reduced";
    case Fault::kIncomplete:
      return "lacks contributions";
    case Fault::kSealed:
      return "has been reduced before";
  }
  return "?";
}

// Which rule an instruction breaks whose effect on a buffer of this kind cannot be.
Rule RuleOf(Op op, const Effect& effect, Fault fault) {
  switch (effect.buffer.kind) {
    case BufferKind::kBatch:
    case BufferKind::kFlow:
      if (op == Op::kRecompute) return Rule::kRecomputeInputs;
      return op == Op::kForward ? Rule::kForwardOrder : Rule::kBackwardOrder;
    case BufferKind::kTape:
      if (op == Op::kForward) return Rule::kForwardOrder;
      if (op == Op::kRecompute) return Rule::kRecomputeOnce;
      return fault == Fault::kNever ? Rule::kTapeKept : Rule::kTapeUsedOnce;
    case BufferKind::kInputs:
    case BufferKind::kReplay:
      return Rule::kRecomputeInputs;
    case BufferKind::kGradientFlow:
      return Rule::kBackwardOrder;
    case BufferKind::kCopies:
      return Rule::kCopiesReleased;
    case BufferKind::kParameters:
      return op == Op::kGather ? Rule::kGatherOnce : Rule::kGathered;
    case BufferKind::kGradients:
      if (op == Op::kUpdate) return Rule::kUpdateOnce;
      if (op == Op::kBackward) return Rule::kReduceWhole;
      return fault == Fault::kNever || fault == Fault::kIncomplete ? Rule::kReduceWhole : Rule::kReduceOnce;
    case BufferKind::kEvent:
      return effect.act == Act::kTake ? Rule::kEventRaisedOnce : Rule::kEventWaited;
    case BufferKind::kAgreement:
      return op == Op::kAgree ? Rule::kAgreeOnce : Rule::kUpdateAfterAgree;
  }
  return Rule::kRange;
}

class Walk {
 public:
  Walk(const Schedule& schedule, const ModelShape& model)
      : schedule_(schedule),
        model_(model),
        size_(static_cast<int>(schedule.instructions.size())),
        buffers_(BuffersOf(model, schedule.micro_batches, schedule.events)) {}

  std::optional<Violation> Run() {
    for (int at = 0; at < size_; ++at) {
      if (std::optional<Violation> found = Step(at)) return found;
    }
    return End();
  }

 private:
  std::optional<Violation> Step(int at) {
    const Instruction& i = schedule_.instructions[at];
    if (std::string fault = RangeFault(i, schedule_, model_); !fault.empty()) {
      return Violation{Rule::kRange, at, std::move(fault)};
    }
    if (i.op == Op::kAgree) {
      if (const auto event = buffers_.FirstThere(BufferKind::kEvent)) {
        return Violation{Rule::kEventWaited, at, Is(*event, "has not been waited for")};
      }
      if (const auto gradients = buffers_.FirstNeverLent(BufferKind::kGradients)) {
        return Violation{Rule::kAgreeSeesAll, at, Is(*gradients, "has not been reduced")};
      }
    } else if (i.op != Op::kUpdate && i.op != Op::kGather && i.op != Op::kWait && buffers_.IsThere(kAgreement)) {
      return Violation{Rule::kOnlyUpdatesAfterAgree, at,
                       absl::StrCat("agree is instruction ", buffers_.TakenAt(kAgreement))};
    }
    if (i.op == Op::kRecompute) {
      if (std::string fault = RecomputeFault(i); !fault.empty()) {
        return Violation{Rule::kRecomputeOrder, at, std::move(fault)};
      }
    }
    EffectsOf(i, model_, &effects_);
    for (const Effect& effect : effects_) {
      const Fault fault = buffers_.Apply(effect, at);
      if (fault != Fault::kNone) {
        return Violation{RuleOf(i.op, effect, fault), at, Is(effect.buffer, FaultText(effect, fault))};
      }
    }
    return std::nullopt;
  }

  // Empty: it comes when it may.
  std::string RecomputeFault(const Instruction& i) const {
    const Buffer flow{BufferKind::kFlow, i.target, i.micro}, tape{BufferKind::kTape, i.target, i.micro};
    if (i.target == static_cast<int>(model_.segments.size()) - 1) {
      return absl::StrCat(model_.segments[i.target], " is the last segment");
    }
    if (!buffers_.WasEver(flow)) return Is(flow, "is not there");
    if (buffers_.WasEver(tape) && !buffers_.IsThere(tape)) return Is(tape, "has been there and is gone");
    if (i.target == 0 && i.from == From::kBefore) {
      return absl::StrCat("there is no segment before ", model_.segments[i.target]);
    }
    return "";
  }

  // What may not be left, and what must have been.
  std::optional<Violation> End() {
    constexpr std::pair<BufferKind, Rule> kNotToBeLeft[] = {{BufferKind::kTape, Rule::kTapeLeft},
                                                            {BufferKind::kGradientFlow, Rule::kBackwardWhole},
                                                            {BufferKind::kFlow, Rule::kMicroBatchWhole},
                                                            {BufferKind::kInputs, Rule::kRecomputeLeft},
                                                            {BufferKind::kReplay, Rule::kRecomputeLeft}};
    for (const auto& [kind, rule] : kNotToBeLeft) {
      if (auto found = Left(kind, rule)) return found;
    }
    for (int m = 0; m < schedule_.micro_batches && !model_.segments.empty(); ++m) {
      if (buffers_.WasEver({BufferKind::kBatch, 0, m})) continue;
      return Violation{Rule::kMicroBatchWhole, size_, absl::StrCat("micro-batch ", m, " is never run")};
    }
    if (!buffers_.IsThere(kAgreement)) return Violation{Rule::kAgreeOnce, size_, "no agree"};
    if (auto found = Left(BufferKind::kGradients, Rule::kUpdateOnce)) return found;
    if (auto found = Left(BufferKind::kEvent, Rule::kEventWaited)) return found;
    for (int g = 0; g < static_cast<int>(model_.groups.size()); ++g) {
      const Buffer parameters{BufferKind::kParameters, g, 0};
      const int stage = model_.zero_stage(g);
      if (stage == 0 || buffers_.IsThere(parameters) == (stage < 3)) continue;
      return Violation{Rule::kGatheredAtEnd, stage < 3 ? size_ : buffers_.TakenAt(parameters),
                       Is(parameters, stage < 3 ? "is not there at the end" : "is left at the end")};
    }
    return std::nullopt;
  }

  std::optional<Violation> Left(BufferKind kind, Rule rule) const {
    const std::optional<Buffer> left = buffers_.FirstThere(kind);
    if (!left) return std::nullopt;
    return Violation{rule, buffers_.TakenAt(*left), Is(*left, "is left at the end")};
  }

  std::string Is(Buffer buffer, const char* what) const { return absl::StrCat(BufferText(buffer, model_), " ", what); }

  static constexpr Buffer kAgreement{BufferKind::kAgreement, 0, 0};

  const Schedule& schedule_;
  const ModelShape& model_;
  const int size_;
  BufferTable buffers_;
  std::vector<Effect> effects_;  // of one instruction
};

std::string Where(const Schedule& schedule, const ModelShape& model, int index) {
  if (index < 0) return absl::StrCat(schedule.name, ", the model's shape");
  if (index >= static_cast<int>(schedule.instructions.size())) return absl::StrCat(schedule.name, ", as a whole");
  return absl::StrCat(schedule.name, ", instruction ", index, " (",
                      InstructionText(schedule.instructions[index], model), ")");
}

}  // namespace

absl::string_view RuleText(Rule rule) {
  switch (rule) {
    case Rule::kShape:
      return "a model's shape names groups that there are, for each segment, and each once";
    case Rule::kRange:
      return "segments, groups, micro-batches and events are the model's and the schedule's";
    case Rule::kForwardOrder:
      return "a micro-batch goes forward through the segments in their order, through each once";
    case Rule::kMicroBatchWhole:
      return "every micro-batch goes forward through all segments";
    case Rule::kTapeKept:
      return "backward has the tape that its forward kept";
    case Rule::kTapeUsedOnce:
      return "a tape is used up by one backward";
    case Rule::kTapeLeft:
      return "what forward keeps is used by a backward";
    case Rule::kRecomputeOrder:
      return "a segment is recomputed between its forward and its backward, and the last one, whose loss would count "
             "twice, never";
    case Rule::kRecomputeInputs:
      return "a recompute has its inputs, which were kept or which the recompute before it gave, and its batch";
    case Rule::kRecomputeOnce:
      return "a recompute makes a tape where there is none";
    case Rule::kRecomputeLeft:
      return "what is kept for a recompute, or given by one, is used";
    case Rule::kBackwardOrder:
      return "a micro-batch goes backward through the segments in reverse, from the last one's output on";
    case Rule::kBackwardWhole:
      return "a micro-batch that goes backward goes back to the first segment that is trained";
    case Rule::kCopiesReleased:
      return "a group's copies are released where there are some, and not read afterwards";
    case Rule::kGathered:
      return "a sharded group's parameters are gathered, and the gather has been waited for, when they are read or "
             "released";
    case Rule::kGatherOnce:
      return "a group's parameters are gathered where they are not there";
    case Rule::kGatheredAtEnd:
      return "at the end the parameters of groups of ZeRO 1 and 2 are whole and those of ZeRO 3 are not";
    case Rule::kReduceWhole:
      return "a group's gradients are reduced when every segment that uses it, in every micro-batch, has added its own";
    case Rule::kReduceOnce:
      return "a group's gradients are reduced once";
    case Rule::kEventRaisedOnce:
      return "an event is raised once";
    case Rule::kEventWaited:
      return "an event that is raised is waited for once, after that, and before agree if it was raised before agree";
    case Rule::kAgreeOnce:
      return "the ranks agree once";
    case Rule::kAgreeSeesAll:
      return "agree comes after every group's gradients have been reduced";
    case Rule::kUpdateAfterAgree:
      return "a group is updated after agree";
    case Rule::kUpdateOnce:
      return "each group that has gradients is updated once, and no other";
    case Rule::kOnlyUpdatesAfterAgree:
      return "after agree there are updates, and gathers of what they made, only";
  }
  return "?";
}

std::optional<Violation> FindViolation(const Schedule& schedule, const ModelShape& model) {
  if (std::string fault = ShapeFault(model); !fault.empty()) return Violation{Rule::kShape, -1, std::move(fault)};
  // Each is named by some instruction, so more of them than instructions are as wrong as less than none.
  const int size = static_cast<int>(schedule.instructions.size());
  if (schedule.micro_batches < 0 || schedule.events < 0 || schedule.micro_batches > size || schedule.events > size) {
    return Violation{Rule::kRange, size,
                     absl::StrCat(schedule.micro_batches, " micro-batches and ", schedule.events, " events in ", size,
                                  " instructions")};
  }
  return Walk(schedule, model).Run();
}

absl::Status Verify(const Schedule& schedule, const ModelShape& model) {
  const std::optional<Violation> violation = FindViolation(schedule, model);
  if (!violation) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(Where(schedule, model, violation->index), ": ", violation->found, "; but ",
                                          RuleText(violation->rule),
                                          ". The schedule is not played: whoever wrote it has a bug"));
}

absl::Status VerifyReserve(const Schedule& schedule, const ModelShape& model, const std::vector<int64_t>& peak_bytes,
                           int64_t reserve_bytes) {
  if (peak_bytes.size() != schedule.instructions.size()) {
    return absl::InvalidArgumentError(absl::StrCat(schedule.name, ": ", peak_bytes.size(), " predicted peaks for ",
                                                   schedule.instructions.size(), " instructions"));
  }
  for (size_t i = 0; i < peak_bytes.size(); ++i) {
    if (peak_bytes[i] <= reserve_bytes) continue;
    return absl::ResourceExhaustedError(
        absl::StrCat(Where(schedule, model, static_cast<int>(i)), ": holds ", peak_bytes[i], " bytes at its peak, ",
                     peak_bytes[i] - reserve_bytes, " more than the ", reserve_bytes, " that are reserved"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
