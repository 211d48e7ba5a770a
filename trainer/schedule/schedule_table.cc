#include "trainer/schedule/schedule_table.h"

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

std::string NameAt(const std::vector<std::string>& names, int index, const char* what) {
  if (index >= 0 && index < static_cast<int>(names.size())) return names[index];
  return absl::StrCat(what, " ", index, "?");
}

// Empty for an instruction that has no target.
std::string TargetText(const Instruction& i, const ModelShape& model) {
  switch (TargetOf(i.op)) {
    case TargetKind::kSegment:
      return NameAt(model.segments, i.target, "segment");
    case TargetKind::kGroup:
      return NameAt(model.groups, i.target, "group");
    case TargetKind::kNone:
      return "";
  }
  return "?";
}

bool HasMicro(const Instruction& i) {
  return TargetOf(i.op) == TargetKind::kSegment || (i.op == Op::kReduce && i.micro >= 0);
}
bool RaisesEvent(Op op) { return op == Op::kReduce || op == Op::kGather; }
bool HasEvent(Op op) { return RaisesEvent(op) || op == Op::kWait; }

}  // namespace

std::string InstructionText(const Instruction& i, const ModelShape& model) {
  std::string text(OpName(i.op));
  if (const std::string target = TargetText(i, model); !target.empty()) absl::StrAppend(&text, " ", target);
  if (HasMicro(i)) absl::StrAppend(&text, " micro ", i.micro);
  if (i.op == Op::kRecompute && i.from == From::kKept) absl::StrAppend(&text, " from its inputs");
  if (HasKeep(i.op) && i.keep != Keep::kAll) absl::StrAppend(&text, " keep ", KeepName(i.keep));
  if (HasEvent(i.op)) absl::StrAppend(&text, RaisesEvent(i.op) ? " -> e" : " e", i.event);
  return text;
}

std::string ScheduleTable(const Schedule& schedule, const ModelShape& model) {
  std::string table;
  for (const Instruction& i : schedule.instructions) absl::StrAppend(&table, InstructionText(i, model), "\n");
  return table;
}

}  // namespace stowage
