#include "memory/planned/lifetimes.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace stowage {

int64_t PeakLiveBytes(const Lifetimes& lifetimes) {
  const int64_t count = static_cast<int64_t>(lifetimes.size());
  std::vector<int64_t> dying(lifetimes.size() + 1, 0);  // bytes that are gone from this time on
  int64_t live = 0, peak = 0;
  for (int64_t k = 0; k < count; ++k) {
    const BlockLifetime& block = lifetimes[static_cast<size_t>(k)];
    live -= dying[static_cast<size_t>(k)];
    if (!block.planned()) continue;
    STOWAGE_CHECK(block.death > k && block.death <= count) << "block " << k << " dies at " << block.death;
    live += PlacedBytes(block.bytes);
    dying[static_cast<size_t>(block.death)] += PlacedBytes(block.bytes);
    peak = std::max(peak, live);
  }
  return peak;
}

}  // namespace stowage
