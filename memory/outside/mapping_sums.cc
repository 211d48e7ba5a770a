#include "memory/outside/mapping_sums.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

bool IsSharedMemory(const Mapping& mapping) {
  // An anonymous shared mapping is a file of its own: "/dev/zero (deleted)".
  return absl::StartsWith(mapping.name, "/dev/shm/") || absl::StartsWith(mapping.name, "/memfd:") ||
         absl::StartsWith(mapping.name, "/SYSV") || absl::StartsWith(mapping.name, "/dev/zero") ||
         (mapping.shared && mapping.anonymous());
}

// What a mapping is that no claim has.
Claim Guess(const Mapping& mapping, const MappingProbes& probes) {
  const auto line = [&](OutsideLine l) { return Claim{mapping.begin, mapping.end, MappingOwner::kLine, l}; };
  if (IsSharedMemory(mapping)) return line(OutsideLine::kSharedMemory);
  if (mapping.name == "[heap]") return line(OutsideLine::kHeap);
  if (absl::StartsWith(mapping.name, "[stack")) return line(OutsideLine::kThreadStacks);
  if (absl::StartsWith(mapping.name, "[v")) return line(OutsideLine::kLibraries);  // vdso, vvar, vsyscall
  // "[anon:name]" is what prctl can call an anonymous mapping.
  const bool anonymous = mapping.anonymous() || absl::StartsWith(mapping.name, "[anon");
  if (!anonymous) return line(mapping.executable ? OutsideLine::kLibraries : OutsideLine::kFiles);
  if (mapping.executable) return line(OutsideLine::kJitCode);
  if (mapping.rss_bytes > 0 && probes.is_mallocs(mapping)) return line(OutsideLine::kHeap);
  return {mapping.begin, mapping.end, MappingOwner::kNobody};
}

void Enter(const Claim& owner, int64_t bytes, MappingSums* sums) {
  sums->total_bytes += bytes;
  switch (owner.owner) {
    case MappingOwner::kLine:
      sums->lines[static_cast<int>(owner.line)] += bytes;
      return;
    case MappingOwner::kTensors:
      sums->tensors_bytes += bytes;
      return;
    case MappingOwner::kNobody:
      sums->nobody_bytes += bytes;
      return;
  }
}

}  // namespace

absl::StatusOr<MappingSums> AddUp(const std::vector<Mapping>& mappings, const std::vector<Claim>& claims,
                                  const MappingProbes& probes) {
  MappingSums sums;
  auto claim = claims.begin();
  for (const Mapping& mapping : mappings) {
    if (mapping.rss_bytes == 0) continue;
    while (claim != claims.end() && claim->end <= mapping.begin) ++claim;
    if (claim != claims.end() && claim->begin <= mapping.begin && claim->end >= mapping.end) {
      Enter(*claim, mapping.rss_bytes, &sums);
      continue;
    }
    // Parts that claims have, page by page; the rest is of what the mapping looks like.
    int64_t rest = mapping.rss_bytes;
    for (auto part = claim; part != claims.end() && part->begin < mapping.end; ++part) {
      STOWAGE_ASSIGN_OR_RETURN(int64_t bytes,
                               probes.resident(std::max(part->begin, mapping.begin), std::min(part->end, mapping.end)));
      bytes = std::min(bytes, rest);  // a page of zeros that was only read counts there, and in no Rss
      Enter(*part, bytes, &sums);
      rest -= bytes;
    }
    if (rest > 0) Enter(Guess(mapping, probes), rest, &sums);
  }
  return sums;
}

}  // namespace stowage
