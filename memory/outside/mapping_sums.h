// Every mapping of the process to exactly one line.
#ifndef STOWAGE_MEMORY_OUTSIDE_MAPPING_SUMS_H_
#define STOWAGE_MEMORY_OUTSIDE_MAPPING_SUMS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/outside/address_ranges.h"
#include "memory/outside/outside_line.h"
#include "memory/outside/smaps.h"

namespace stowage {

// What owns a mapping: an outside line, or one of these.
enum class MappingOwner : uint8_t { kLine, kTensors, kNobody };

// Addresses of which it is known what they are.
struct Claim {
  uint64_t begin = 0;
  uint64_t end = 0;
  MappingOwner owner = MappingOwner::kNobody;
  OutsideLine line = OutsideLine::kLibraries;  // of kLine
};

// Bytes in RAM. The lines of what malloc and the pool say of themselves are 0 here: the heap's pages are all in kHeap,
// the pool's in tensors_bytes.
struct MappingSums {
  std::array<int64_t, kOutsideLines> lines = {};
  int64_t tensors_bytes = 0;  // of registered kTensors ranges
  int64_t nobody_bytes = 0;   // anonymous mappings that nothing claims
  int64_t total_bytes = 0;    // of all mappings: the sum of the above
};

// What adding up needs to ask of the process.
struct MappingProbes {
  std::function<bool(const Mapping&)> is_mallocs;
  // Bytes in RAM of a part of a mapping.
  std::function<absl::StatusOr<int64_t>(uint64_t begin, uint64_t end)> resident;
};

// `claims` do not overlap each other. A mapping that lies in one claim is its; one that several share (the kernel joins
// neighbours of equal rights) is divided page by page; what no claim has goes by name, by rights, and by `is_mallocs`.
absl::StatusOr<MappingSums> AddUp(const std::vector<Mapping>& mappings, const std::vector<Claim>& claims,
                                  const MappingProbes& probes);

// Claims of this process: registered ranges, the segments of the program and its libraries with their .bss, and the
// stacks of its threads, which are looked for in `mappings`.
std::vector<Claim> ClaimsOfThisProcess(const std::vector<Mapping>& mappings);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_MAPPING_SUMS_H_
