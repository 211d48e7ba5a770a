#include "trainer/schedule/instruction.h"

namespace stowage {

absl::string_view OpName(Op op) {
  switch (op) {
    case Op::kForward:
      return "forward";
    case Op::kBackward:
      return "backward";
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

TargetKind TargetOf(Op op) {
  switch (op) {
    case Op::kForward:
    case Op::kBackward:
      return TargetKind::kSegment;
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
