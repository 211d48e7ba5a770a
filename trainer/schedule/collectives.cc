#include "trainer/schedule/collectives.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace stowage {

std::string CollectivesText(const Schedule& schedule, const ModelShape& model,
                            const std::vector<int64_t>& group_numel) {
  STOWAGE_CHECK(group_numel.empty() || group_numel.size() == model.groups.size()) << group_numel.size();
  std::string text;
  for (const Instruction& i : schedule.instructions) {
    if (i.op == Op::kAgree) absl::StrAppend(&text, "agree\n");
    if (i.op != Op::kReduce && i.op != Op::kGather) continue;
    absl::StrAppend(&text, OpName(i.op), " ", model.groups[i.target]);
    if (!group_numel.empty()) absl::StrAppend(&text, " (", group_numel[i.target], " elements)");
    absl::StrAppend(&text, "\n");
  }
  return text;
}

absl::Status VerifySameCollectives(const std::vector<std::string>& ranks) {
  for (size_t rank = 1; rank < ranks.size(); ++rank) {
    if (ranks[rank] == ranks[0]) continue;
    const std::vector<std::string> here = absl::StrSplit(ranks[0], '\n', absl::SkipEmpty());
    const std::vector<std::string> there = absl::StrSplit(ranks[rank], '\n', absl::SkipEmpty());
    size_t at = 0;
    while (at < std::min(here.size(), there.size()) && here[at] == there[at]) ++at;
    const auto line = [at](const std::vector<std::string>& lines) {
      return at < lines.size() ? absl::StrCat("\"", lines[at], "\"") : std::string("has none left");
    };
    return absl::InvalidArgumentError(absl::StrCat("the ranks' steps do not meet: collective ", at + 1,
                                                   " of rank 0: ", line(here), ", of rank ", rank, ": ", line(there),
                                                   ". Start the same program with the same config on every rank"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
