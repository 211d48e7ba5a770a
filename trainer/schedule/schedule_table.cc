#include "trainer/schedule/schedule_table.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"
#include "base/check.h"

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

bool HasMicro(Op op) { return op == Op::kForward || op == Op::kBackward; }
bool HasEvent(Op op) { return op == Op::kReduce || op == Op::kWait; }

enum Column { kIndex, kOp, kTarget, kMicro, kKeep, kEvent, kLive, kPeak, kColumns };
using Row = std::array<std::string, kColumns>;

bool RightAligned(int column) { return column != kOp && column != kTarget && column != kKeep; }

std::string BytesText(const std::vector<int64_t>& bytes, size_t at) {
  return bytes.empty() || bytes[at] < 0 ? "" : HumanByteSize(bytes[at]);
}

}  // namespace

std::string InstructionText(const Instruction& i, const ModelShape& model) {
  std::string text(OpName(i.op));
  if (const std::string target = TargetText(i, model); !target.empty()) absl::StrAppend(&text, " ", target);
  if (HasMicro(i.op)) absl::StrAppend(&text, " micro ", i.micro);
  if (i.op == Op::kForward && i.keep == Keep::kNothing) absl::StrAppend(&text, " keep nothing");
  if (HasEvent(i.op)) absl::StrAppend(&text, i.op == Op::kReduce ? " -> e" : " e", i.event);
  return text;
}

std::string ScheduleTable(const Schedule& schedule, const ModelShape& model) {
  std::string table;
  for (const Instruction& i : schedule.instructions) absl::StrAppend(&table, InstructionText(i, model), "\n");
  return table;
}

std::string ScheduleColumns(const Schedule& schedule, const ModelShape& model, const std::vector<int64_t>& live_bytes,
                            const std::vector<int64_t>& peak_bytes) {
  const size_t count = schedule.instructions.size();
  STOWAGE_CHECK(live_bytes.empty() || live_bytes.size() == count) << live_bytes.size() << " of " << count;
  STOWAGE_CHECK(peak_bytes.empty() || peak_bytes.size() == count) << peak_bytes.size() << " of " << count;

  std::vector<Row> rows;
  for (size_t n = 0; n < count; ++n) {
    const Instruction& i = schedule.instructions[n];
    Row row;
    row[kIndex] = absl::StrCat(n);
    row[kOp] = std::string(OpName(i.op));
    row[kTarget] = TargetText(i, model);
    if (HasMicro(i.op)) row[kMicro] = absl::StrCat(i.micro);
    if (i.op == Op::kForward && i.keep == Keep::kNothing) row[kKeep] = "nothing";
    if (HasEvent(i.op)) row[kEvent] = absl::StrCat("e", i.event);
    row[kLive] = BytesText(live_bytes, n);
    row[kPeak] = BytesText(peak_bytes, n);
    rows.push_back(std::move(row));
  }

  const Row headings = {"index", "op", "target", "micro", "keep", "event", "live", "peak"};
  std::array<size_t, kColumns> widths = {};  // 0: nothing in it
  for (Column always : {kIndex, kOp}) widths[always] = headings[always].size();
  for (const Row& row : rows) {
    for (int c = 0; c < kColumns; ++c) {
      if (!row[c].empty()) widths[c] = std::max({widths[c], row[c].size(), headings[c].size()});
    }
  }
  rows.insert(rows.begin(), headings);
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (int c = 0; c < kColumns; ++c) {
      if (widths[c] == 0) continue;
      const std::string blank(widths[c] - row[c].size(), ' ');
      absl::StrAppend(&line, line.empty() ? "" : "  ", RightAligned(c) ? blank : "", row[c],
                      RightAligned(c) ? "" : blank);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&table, line, "\n");
  }
  return table;
}

}  // namespace stowage
