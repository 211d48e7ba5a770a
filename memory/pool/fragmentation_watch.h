// Gives a pool's idle pages back when they have become too many: once when their share of the resident ones rises above
// a limit, and not again before it was below.
//
// Nothing that is live is moved or changed; freed runs were merged when they were freed. It costs page faults when the
// pages are needed again, so it is for the seams of a program (after an evaluation, after a phase), not for every step:
// between steps activations are idle on purpose, and growth is bounded without it (PageHeap's slack).
#ifndef STOWAGE_MEMORY_POOL_FRAGMENTATION_WATCH_H_
#define STOWAGE_MEMORY_POOL_FRAGMENTATION_WATCH_H_

#include <cstdint>
#include <optional>

#include "memory/pool/pool.h"

namespace stowage {

struct FragmentationCleanup {
  double slack_before = 0.0;  // PoolStatistics::slack
  double slack_after = 0.0;
  int64_t released_bytes = 0;
  int64_t choosing_ns = 0;  // choosing pages and keeping the books
  int64_t system_ns = 0;    // the system taking the pages
};

// Not thread-safe; the pool may be used meanwhile, and its numbers are then of different moments.
class FragmentationWatch {
 public:
  static constexpr double kDefaultLimit = 0.30;

  // Borrows the pool. 0 < limit < 1.
  explicit FragmentationWatch(Pool* pool, double limit = kDefaultLimit) : pool_(pool), limit_(limit) {}

  // Cleans up if the slack has crossed the limit since the last call; nullopt: it has not.
  std::optional<FragmentationCleanup> Check();

 private:
  Pool* const pool_;
  const double limit_;
  bool above_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_FRAGMENTATION_WATCH_H_
