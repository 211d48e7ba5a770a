#include "trainer/checkpoint/checkpoint_folder.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/checkpoint_reader.h"

namespace stowage {
namespace {

constexpr char kReplaced[] = ".replaced";

// Eight digits so that names sort by step in any file listing; more digits where the step has more.
std::string NameOf(int64_t step) { return absl::StrFormat("step-%08d", step); }
std::string ReplacedNameOf(int64_t step) { return absl::StrCat(".", NameOf(step), kReplaced); }

// The step of a name that NameOf makes; -1 for any other.
int64_t StepOf(absl::string_view name) {
  int64_t step = -1;
  absl::string_view digits = name;
  if (!absl::ConsumePrefix(&digits, "step-") || !absl::SimpleAtoi(digits, &step) || step < 0) return -1;
  return NameOf(step) == name ? step : -1;
}

// The step of a name that ReplacedNameOf makes; -1 for any other.
int64_t ReplacedStepOf(absl::string_view name) {
  return absl::ConsumePrefix(&name, ".") && absl::ConsumeSuffix(&name, kReplaced) ? StepOf(name) : -1;
}

void Say(const absl::Status& status, std::vector<std::string>* said) {
  if (!status.ok() && said != nullptr) said->push_back(std::string(status.message()));
}

// Hidden before it is taken apart: a crash half-way leaves a name that the next save clears up, no damaged checkpoint.
absl::Status RemoveCheckpoint(const std::string& folder, const CheckpointEntry& entry) {
  const std::string hidden = absl::StrCat(folder, "/.step-", entry.step, ".partial-", getpid());
  STOWAGE_RETURN_IF_ERROR(RenameDurably(entry.path, hidden));
  return RemoveTree(hidden);
}

// Brings a folder that a crash left into order.
absl::Status TidyUp(const std::string& folder, std::vector<std::string>* said) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFolder(folder));
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(folder, "/", name);
    const int64_t replaced = ReplacedStepOf(name);
    if (replaced >= 0) {
      const std::string home = absl::StrCat(folder, "/", NameOf(replaced));
      Say(PathExists(home) ? RemoveTree(path) : RenameDurably(path, home), said);
    } else if (absl::StartsWith(name, ".step-") && absl::StrContains(name, ".partial-")) {
      Say(RemoveTree(path), said);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const std::string& folder) {
  std::vector<CheckpointEntry> entries;
  const auto names = ListFolder(folder);
  if (absl::IsNotFound(names.status())) return entries;
  STOWAGE_RETURN_IF_ERROR(names.status());
  const std::set<std::string> all(names->begin(), names->end());
  for (const std::string& name : *names) {
    int64_t step = StepOf(name);
    if (step < 0 && all.count(NameOf(ReplacedStepOf(name))) == 0) step = ReplacedStepOf(name);
    if (step >= 0) entries.push_back({step, absl::StrCat(folder, "/", name)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const CheckpointEntry& a, const CheckpointEntry& b) { return a.step > b.step; });
  return entries;
}

absl::StatusOr<std::string> MakePartialCheckpoint(const std::string& folder, int64_t step,
                                                  std::vector<std::string>* said) {
  STOWAGE_RETURN_IF_ERROR(MakeFolders(folder));
  STOWAGE_RETURN_IF_ERROR(TidyUp(folder, said));
  const std::string path = absl::StrCat(folder, "/.step-", step, ".partial-", getpid());
  STOWAGE_RETURN_IF_ERROR(MakeFolders(path));
  return path;
}

absl::StatusOr<std::string> PublishCheckpoint(const std::string& folder, const std::string& partial, int64_t step) {
  const std::string path = absl::StrCat(folder, "/", NameOf(step));
  if (!PathExists(path)) {
    STOWAGE_RETURN_IF_ERROR(RenameDurably(partial, path));
    return path;
  }
  // A folder cannot be renamed over one that has files in it, and not every file system can exchange two.
  const std::string replaced = absl::StrCat(folder, "/", ReplacedNameOf(step));
  STOWAGE_RETURN_IF_ERROR(RenameDurably(path, replaced));
  const absl::Status renamed = RenameDurably(partial, path);
  if (!renamed.ok()) {
    if (PathExists(path)) return renamed;  // renamed, not synced: whichever a crash leaves is whole
    const absl::Status back = RenameDurably(replaced, path);
    return back.ok() ? renamed : Annotate(renamed, back.message());
  }
  // If this fails, the next save removes it; it is not mistaken for a checkpoint meanwhile.
  (void)RemoveTree(replaced);
  return path;
}

void RemoveOldCheckpoints(const std::string& folder, int64_t kept_step, int64_t keep, std::vector<std::string>* said) {
  const auto entries = ListCheckpoints(folder);
  Say(entries.status(), said);
  if (!entries.ok()) return;
  int64_t kept = 1;  // kept_step itself
  for (const CheckpointEntry& entry : *entries) {
    if (entry.step == kept_step) continue;
    if (kept >= keep) {
      Say(RemoveCheckpoint(folder, entry), said);
    } else if (CheckpointReader::Open(entry.path).ok()) {
      ++kept;
    }
  }
}

}  // namespace stowage
