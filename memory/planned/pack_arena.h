// Dynamic storage allocation off line: places for blocks of known lifetimes, so that those that are held at once do not
// overlap and all together reach as little far as possible.
//
// The method is "greedy by size" of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
// arXiv:2001.03288: in a fixed order each block takes the lowest gap that is free throughout its life. The problem is
// NP-hard, and no order is best for all: several are tried (size, life, size times life), as the heuristics of
// minimalloc do (Moffitt, ASPLOS 2023), and the best is mended by search: the block that reaches farthest is placed
// earlier, and all are placed anew. The search ends where the bound is met, or with its allowance of work.
//
// Deterministic: the same lifetimes and options give the same plan, on any machine, however busy.
#ifndef STOWAGE_MEMORY_PLANNED_PACK_ARENA_H_
#define STOWAGE_MEMORY_PLANNED_PACK_ARENA_H_

#include <cstdint>
#include <vector>

#include "memory/planned/lifetimes.h"

namespace stowage {

struct PackOptions {
  // Close enough to the bound to stop: at 0.1 % more search costs time that no run gets back.
  double good_enough = 0.001;
  // Allowance of work for the search, in pairs of blocks looked at: some two seconds. One placement of all blocks is
  // made even if it takes more.
  int64_t most_pairs = 60'000'000;
};

struct ArenaPlan {
  static constexpr int64_t kNoPlace = -1;

  std::vector<int64_t> offsets;  // by number of the block; multiples of 64; kNoPlace: it outlives the step
  int64_t arena_bytes = 0;
  int64_t peak_live_bytes = 0;  // PeakLiveBytes(): arena_bytes can be no less
};

ArenaPlan PackArena(const Lifetimes& lifetimes, const PackOptions& options = PackOptions());

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PLANNED_PACK_ARENA_H_
