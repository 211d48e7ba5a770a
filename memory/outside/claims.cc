#include <dirent.h>
#include <link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/cleanup/cleanup.h"
#include "memory/outside/mapping_sums.h"

namespace stowage {
namespace {

constexpr uint64_t kPageBytes = 4096;

uint64_t PageBegin(uint64_t address) { return address / kPageBytes * kPageBytes; }
uint64_t PageEnd(uint64_t address) { return PageBegin(address + kPageBytes - 1); }

Claim ClaimOf(const AddressSpan& span) {
  switch (span.kind) {
    case RangeKind::kTensors:
      return {span.begin, span.end, MappingOwner::kTensors};
    case RangeKind::kOwnWindow:
      return {span.begin, span.end, MappingOwner::kLine, OutsideLine::kOwnWindows};
    case RangeKind::kPeerWindow:
      return {span.begin, span.end, MappingOwner::kLine, OutsideLine::kPeerWindows};
    case RangeKind::kBookKeeping:
      return {span.begin, span.end, MappingOwner::kLine, OutsideLine::kBookKeeping};
  }
  return {};
}

// The loaded segments as the program headers tell them: a .bss is an anonymous mapping behind its file's, and ends
// where the header says, also where the kernel has joined it with a neighbour.
int AddSegments(dl_phdr_info* info, size_t, void* claims) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    const uint64_t begin = info->dlpi_addr + segment.p_vaddr;
    static_cast<std::vector<Claim>*>(claims)->push_back(
        {PageBegin(begin), PageEnd(begin + segment.p_memsz), MappingOwner::kLine, OutsideLine::kLibraries});
  }
  return 0;
}

// Where thread `tid` keeps its list of robust locks, which glibc has in the thread's descriptor; 0: it has ended.
// The descriptor lies at the top end of the thread's stack (nptl/allocatestack.c), the main thread's beside its
// thread-local storage.
uint64_t DescriptorOf(int64_t tid) {
  void* head = nullptr;
  size_t size = 0;
  return syscall(SYS_get_robust_list, tid, &head, &size) == 0 ? reinterpret_cast<uint64_t>(head) : 0;
}

const Mapping* Find(const std::vector<Mapping>& mappings, uint64_t address) {
  const auto after = std::upper_bound(mappings.begin(), mappings.end(), address,
                                      [](uint64_t a, const Mapping& mapping) { return a < mapping.begin; });
  if (after == mappings.begin()) return nullptr;
  const Mapping& before = *std::prev(after);
  return address < before.end ? &before : nullptr;
}

void AddStacks(const std::vector<Mapping>& mappings, std::vector<Claim>* claims) {
  constexpr uint64_t kDescriptorBytes = 2304;  // sizeof(struct pthread) is that or less on every glibc up to 2.40
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return;
  const auto closer = absl::MakeCleanup([tasks] { closedir(tasks); });
  while (const dirent* entry = readdir(tasks)) {
    const int64_t tid = std::atoll(entry->d_name);
    const uint64_t descriptor = tid > 0 ? DescriptorOf(tid) : 0;
    const Mapping* const mapping = descriptor != 0 ? Find(mappings, descriptor) : nullptr;
    if (mapping == nullptr || !mapping->anonymous()) continue;
    // From the mapping's start, which lies behind the guard, to the descriptor's end: behind it the kernel may have
    // joined a neighbour.
    const uint64_t end = std::min(mapping->end, PageEnd(descriptor + kDescriptorBytes));
    claims->push_back({mapping->begin, end, MappingOwner::kLine, OutsideLine::kThreadStacks});
  }
}

}  // namespace

std::vector<Claim> ClaimsOfThisProcess(const std::vector<Mapping>& mappings) {
  std::vector<Claim> claims;
  for (const AddressSpan& span : RegisteredSpans()) claims.push_back(ClaimOf(span));
  dl_iterate_phdr(&AddSegments, &claims);
  AddStacks(mappings, &claims);
  // None should overlap; of two that do, the one with the lower start keeps what they share.
  std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) { return a.begin < b.begin; });
  std::vector<Claim> apart;
  for (Claim& claim : claims) {
    if (!apart.empty()) claim.begin = std::max(claim.begin, apart.back().end);
    if (claim.begin < claim.end) apart.push_back(claim);
  }
  return apart;
}

}  // namespace stowage
