#include "trainer/schedule/instruction.h"

namespace stowage {

absl::string_view OpName(Op op) {
  switch (op) {
    case Op::kForward:
      return "forward";
    case Op::kRecompute:
      return "recompute";
    case Op::kBackward:
      return "backward";
    case Op::kGather:
      return "gather";
    case Op::kRelease:
      return "release";
    case Op::kReduce:
      return "reduce";
    case Op::kAgree:
      return "agree";
    case Op::kUpdate:
      return "update";
    case Op::kWait:
      return "wait";
  }
  return "?";
}

absl::string_view KeepName(Keep keep) {
  switch (keep) {
    case Keep::kAll:
      return "all";
    case Keep::kNothing:
      return "nothing";
    case Keep::kInputs:
      return "inputs";
  }
  return "?";
}

TargetKind TargetOf(Op op) {
  switch (op) {
    case Op::kForward:
    case Op::kRecompute:
    case Op::kBackward:
      return TargetKind::kSegment;
    case Op::kGather:
    case Op::kRelease:
    case Op::kReduce:
    case Op::kUpdate:
      return TargetKind::kGroup;
    case Op::kAgree:
    case Op::kWait:
      return TargetKind::kNone;
  }
  return TargetKind::kNone;
}

}  // namespace stowage
