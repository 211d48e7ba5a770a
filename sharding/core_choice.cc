#include "sharding/core_choice.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

std::string Count(int number, absl::string_view what) {
  return absl::StrCat(number, " ", what, number == 1 ? "" : "s");
}

// This rank's run of the allowed cores; all of them if ranks must share.
CpuSet OwnCores(const CoreFacts& facts) {
  const int64_t cores = static_cast<int64_t>(facts.allowed.size());
  if (facts.binding_is_users) return facts.bound;
  if (facts.local_size > cores) return facts.allowed;
  const int64_t begin = cores * facts.local_rank / facts.local_size;
  const int64_t end = cores * (facts.local_rank + 1) / facts.local_size;
  return CpuSet(facts.allowed.begin() + begin, facts.allowed.begin() + end);
}

int AutoThreads(const CoreFacts& facts) {
  int threads = std::max(1, static_cast<int>(facts.allowed.size()) / facts.local_size);
  if (facts.binding_is_users) threads = std::min(threads, static_cast<int>(facts.bound.size()));
  if (facts.quota_cores > 0.0) {
    threads = std::min(threads, std::max(1, static_cast<int>(std::ceil(facts.quota_cores)) / facts.local_size));
  }
  return threads;
}

}  // namespace

CoreChoice ChooseCores(const CoreFacts& facts, int requested) {
  CoreChoice choice;
  choice.threads = requested > 0 ? requested : AutoThreads(facts);
  choice.cores = OwnCores(facts);
  if (!facts.binding_is_users && choice.threads > static_cast<int>(choice.cores.size())) choice.cores = facts.allowed;

  std::string why =
      absl::StrCat(requested > 0 ? "asked for" : "auto", ": ", Count(static_cast<int>(facts.allowed.size()), "core"),
                   ", ", Count(facts.local_size, "rank"), " on this host");
  if (facts.binding_is_users) absl::StrAppend(&why, ", binding kept as the launcher was told");
  if (facts.quota_cores > 0.0 && facts.quota_cores < static_cast<double>(facts.allowed.size())) {
    absl::StrAppend(&why, ", cgroup quota of ", facts.quota_cores, " cores");
  }
  if (facts.local_size > static_cast<int>(facts.allowed.size())) {
    absl::StrAppend(&why, ", more ranks than cores: they share them, unbound");
  } else if (choice.threads > static_cast<int>(choice.cores.size())) {
    absl::StrAppend(&why, ", more threads than cores");
  }
  choice.description = absl::StrCat("threads ", choice.threads, " (", why, "), cores ", FormatCpuSet(choice.cores));
  return choice;
}

}  // namespace stowage
