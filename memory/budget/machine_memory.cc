#include "memory/budget/machine_memory.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/byte_size.h"
#include "base/check.h"
#include "memory/budget/batch_allotment.h"
#include "memory/budget/cgroup_memory.h"

namespace stowage {
namespace {

// Soft limits of /proc/self/limits: "Max address space         4294967296           unlimited            bytes".
void TakeLimits(const MachineSource& source, std::vector<MemoryBound>* bounds) {
  const struct {
    const char* line;
    const char* name;
  } limits[] = {{"Max address space", "ulimit -v (RLIMIT_AS)"}, {"Max data size", "ulimit -d (RLIMIT_DATA)"}};
  std::ifstream file(source.root + "/proc/self/limits");
  for (std::string line; std::getline(file, line);) {
    for (const auto& limit : limits) {
      if (!absl::StartsWith(line, limit.line)) continue;
      const std::vector<std::string> words =
          absl::StrSplit(line.substr(std::string(limit.line).size()), ' ', absl::SkipWhitespace());
      int64_t bytes = 0;  // "unlimited" is no number
      if (!words.empty() && absl::SimpleAtoi(words[0], &bytes)) bounds->push_back({bytes, limit.name, true, true});
    }
  }
}

// "MemTotal:       24684084 kB"; 0: no such line.
int64_t MeminfoBytes(const MachineSource& source, const char* key) {
  std::ifstream file(source.root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipWhitespace());
    int64_t kib = 0;
    if (words.size() >= 2 && words[0] == key && absl::SimpleAtoi(words[1], &kib)) return kib * 1024;
  }
  return 0;
}

std::string PartText(int ranks) {
  if (ranks == 2) return "half of ";
  return ranks == 1 ? "" : absl::StrCat("1/", ranks, " of ");
}

RankShare ShareOfBound(const MemoryBound& bound, int ranks) {
  const int parts = bound.per_process ? 1 : ranks;
  return {bound.bytes / parts, absl::StrCat(PartText(parts), HumanByteSize(bound.bytes), ", the ", bound.source),
          bound.enforced};
}

}  // namespace

absl::StatusOr<MachineMemory> ReadMachineMemory(const MachineSource& source) {
  MachineMemory memory;
  memory.total = MeminfoBytes(source, "MemTotal:");
  memory.available = MeminfoBytes(source, "MemAvailable:");
  if (memory.total <= 0) {
    return absl::FailedPreconditionError(absl::StrCat(source.root,
                                                      "/proc/meminfo does not say how much memory there is; "
                                                      "mount /proc, or give memory.host in bytes"));
  }
  memory.bounds = CgroupMemoryBounds(source);
  TakeLimits(source, &memory.bounds);
  for (MemoryBound& bound : BatchAllotments(source, &memory.warnings)) memory.bounds.push_back(std::move(bound));
  memory.bounds.push_back({memory.total, "machine's memory (MemTotal)", false, false});
  std::stable_sort(memory.bounds.begin(), memory.bounds.end(),
                   [](const MemoryBound& a, const MemoryBound& b) { return a.bytes < b.bytes; });
  return memory;
}

RankShare ShareOf(const MachineMemory& memory, int ranks_on_host) {
  STOWAGE_CHECK(ranks_on_host >= 1 && !memory.bounds.empty()) << ranks_on_host;
  RankShare tightest = ShareOfBound(memory.bounds[0], ranks_on_host);
  for (const MemoryBound& bound : memory.bounds) {
    const RankShare share = ShareOfBound(bound, ranks_on_host);
    if (share.bytes < tightest.bytes) tightest = share;
  }
  return tightest;
}

}  // namespace stowage
