#include "trainer/state/gather_layout.h"

#include <algorithm>

#include "base/check.h"

namespace stowage {

GatherLayout::GatherLayout(const FlatLayout& layout, int world_size, const std::vector<int>& chosen)
    : part_numels_(world_size, 0), parts_(world_size) {
  const int64_t shard = layout.shard_numel();
  STOWAGE_CHECK(shard * world_size == layout.whole_numel()) << world_size << " ranks of another layout";
  for (size_t k = 0; k < chosen.size(); ++k) {
    const int i = chosen[k];
    STOWAGE_CHECK(i >= 0 && i < layout.parameters() && (k == 0 || chosen[k - 1] < i)) << "parameter " << i;
    const int64_t begin = layout.offset(i);
    const int64_t end = i + 1 < layout.parameters() ? layout.offset(i + 1) : layout.whole_numel();
    offsets_.push_back(numel_);
    for (int64_t at = begin; at < end;) {
      const int rank = static_cast<int>(at / shard);
      const int64_t stop = std::min(end, (rank + 1) * shard);
      std::vector<Run>& part = parts_[rank];
      if (!part.empty() && part.back().whole + part.back().numel == at) {
        part.back().numel += stop - at;
      } else {
        part.push_back({at, numel_, stop - at});
      }
      part_numels_[rank] += stop - at;
      numel_ += stop - at;
      at = stop;
    }
  }
}

bool GatherLayout::even() const {
  return std::all_of(part_numels_.begin(), part_numels_.end(), [&](int64_t n) { return n == part_numels_[0]; });
}

}  // namespace stowage
