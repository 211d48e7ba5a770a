// Which blocks one training step asks for, in which order, and how long it holds each.
//
// Time is counted in allocations: block k is born at time k and lives until as many allocations as `death` were made.
// So blocks i and j are held at once if and only if i < death[j] and j < death[i]; when exactly a block is freed
// between two allocations means nothing to where blocks may lie.
#ifndef STOWAGE_MEMORY_PLANNED_LIFETIMES_H_
#define STOWAGE_MEMORY_PLANNED_LIFETIMES_H_

#include <cstdint>
#include <limits>
#include <vector>

namespace stowage {

struct BlockLifetime {
  // Of a block that is still held when the step ends (weights, moments): it has no place in a plan of the step.
  static constexpr int64_t kOutlives = std::numeric_limits<int64_t>::max();

  int64_t bytes = 0;  // as asked of the source, >= 1
  int64_t death = 0;  // > the block's own number

  bool planned() const { return death != kOutlives; }
};

// By number of the allocation.
using Lifetimes = std::vector<BlockLifetime>;

// What a block takes of an arena: places start at multiples of 64.
constexpr int64_t PlacedBytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Most bytes (PlacedBytes) that planned blocks hold at once: no arena can be smaller.
int64_t PeakLiveBytes(const Lifetimes& lifetimes);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PLANNED_LIFETIMES_H_
