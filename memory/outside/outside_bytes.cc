#include "memory/outside/outside_bytes.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/status_macros.h"
#include "memory/outside/smaps.h"

namespace stowage {

int64_t OutsideBytes::lines_bytes() const { return std::accumulate(lines.begin(), lines.end(), int64_t{0}); }

OutsideBytes Divide(const MappingSums& sums, const HeapUse& heap, const OutsideInputs& inputs) {
  OutsideBytes bytes;
  bytes.lines = sums.lines;
  bytes.nobody_bytes = sums.nobody_bytes;
  bytes.rss_bytes = sums.total_bytes;
  bytes.tensor_bytes = inputs.tensor_bytes;

  // A block that was never written has no pages: then more is in use than is in RAM, and nothing is idle.
  int64_t in_use = std::min(heap.in_use_bytes, bytes[OutsideLine::kHeap]);
  bytes[OutsideLine::kHeapIdle] = bytes[OutsideLine::kHeap] - in_use;
  bytes[OutsideLine::kMklBuffers] = std::min(heap.mkl_bytes, in_use);
  in_use -= bytes[OutsideLine::kMklBuffers];
  bytes[OutsideLine::kLibrariesHeap] = std::min(inputs.heap_at_start_bytes, in_use);
  bytes[OutsideLine::kHeap] = in_use - bytes[OutsideLine::kLibrariesHeap];

  bytes[OutsideLine::kPoolRounding] = inputs.block_page_bytes - inputs.tensor_bytes;
  const int64_t beyond_blocks = sums.tensors_bytes - inputs.block_page_bytes;
  bytes[OutsideLine::kPoolIdle] = std::max<int64_t>(beyond_blocks, 0);
  bytes.unwritten_bytes = std::min<int64_t>(beyond_blocks, 0);
  return bytes;
}

absl::StatusOr<OutsideBytes> MeasureOutside(const OutsideInputs& inputs) {
  // Before the mappings are read, which takes some heap for itself.
  const HeapUse heap = ReadHeapUse();
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<Mapping> mappings, ReadSmaps());
  STOWAGE_ASSIGN_OR_RETURN(const MappingSums sums,
                           AddUp(mappings, ClaimsOfThisProcess(mappings), {&IsMallocsMapping, &ResidentBytes}));
  return Divide(sums, heap, inputs);
}

}  // namespace stowage
