// A pool of host memory: small blocks by size class with a cache in every thread, large ones by best fit in whole
// pages, all in one address range that was reserved once and is committed as needed.
//
// Blocks are aligned to 64 bytes. Freeing needs the size that was asked for (whoever keeps a header, or a tensor, knows
// it), so the pool writes nothing beside them.
//
// Thread-safe. Small blocks that the thread's cache has or takes cost no lock; a block may be freed on any thread.
#ifndef STOWAGE_MEMORY_POOL_POOL_H_
#define STOWAGE_MEMORY_POOL_POOL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "memory/block_source.h"
#include "memory/pool/page_heap.h"
#include "memory/pool/size_classes.h"
#include "memory/pool/small_blocks.h"

namespace stowage {

struct PoolOptions {
  size_t reserve_bytes = size_t{1} << 40;    // of addresses, not of memory
  size_t least_bytes = size_t{1} << 30;      // less address space than this is an error
  int64_t limit_bytes = PageHeap::kNoLimit;  // resident bytes never exceed it; whole pages
  int64_t most_idle_bytes = PageHeap::kNoLimit;
  double slack_share = 0.015;
  int64_t slack_bytes = int64_t{8} << 20;
};

// Bytes, unless the name says otherwise. Since the pool was made.
struct PoolStatistics {
  int64_t allocations = 0;
  int64_t hits = 0;  // served without touching a page anew
  int64_t live = 0;  // in large blocks, as whole pages, and in spans of small ones
  int64_t peak_live = 0;
  int64_t resident = 0;  // what the system may have given pages for
  int64_t peak_resident = 0;
  int64_t idle = 0;          // resident, and in no block
  int64_t largest_free = 0;  // of the page heap
  int64_t free = 0;          // of the page heap, resident or not
  int64_t discarded = 0;     // given back to the system, in all
  int64_t discards = 0;      // in so many calls,
  int64_t choosing_ns = 0;   // that took so long to choose pages and keep the books,
  int64_t system_ns = 0;     // and so long in the system

  double hit_rate() const { return allocations == 0 ? 0.0 : static_cast<double>(hits) / allocations; }
  // Share of resident bytes that are in no block: what holding on to pages costs right now.
  double slack() const { return resident == 0 ? 0.0 : static_cast<double>(idle) / static_cast<double>(resident); }
  // Share of the idle page runs that the largest one is not: 0, nothing is fragmented.
  double fragmentation() const { return free == 0 ? 0.0 : 1.0 - static_cast<double>(largest_free) / free; }
};

class Pool final : public BlockSource {
 public:
  // ResourceExhausted: no address space.
  static absl::StatusOr<std::unique_ptr<Pool>> Create(const PoolOptions& options);
  // No block may be live, and no other thread may be in a call.
  ~Pool() override;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A block of `bytes` >= 1; null: over the limit, or the system refuses. Contents: anything.
  void* Allocate(size_t bytes) override;
  // A block of Allocate(bytes), on any thread.
  void Free(void* block, size_t bytes) override;

  // Gives idle pages back until at most `keep_bytes` of them are left, this thread's cache first; returns how many
  // bytes went. What other threads hold in their caches stays there (at most kMostCachedBytes a size and thread).
  int64_t Trim(int64_t keep_bytes = 0);

  void SetLimit(int64_t limit_bytes);
  // From now on at most so many bytes are idle, whole pages, at the price of page faults when they are needed again.
  // What threads hold in their caches is not idle: Trim.
  void SetMostIdle(int64_t bytes);
  int64_t most_idle() const;
  PoolStatistics Statistics() const;
  // Bytes of the range that the system holds pages for right now (mincore): below `resident` where blocks have not been
  // written yet, above it where a huge page covers more than its blocks. Costs about 1 ms a GiB.
  int64_t TouchedBytes() const;
  // Whether the address lies in the pool's range.
  bool Contains(const void* p) const;
  const char* range_begin() const { return begin_; }
  size_t range_bytes() const { return static_cast<size_t>(end_ - begin_); }

  // Of one size class in one thread's cache.
  static constexpr size_t kMostCachedBytes = size_t{128} << 10;

 private:
  struct Cache;
  struct Registry;
  struct ThreadCaches;

  Pool(std::unique_ptr<AddressRange> range, const PoolOptions& options);

  // Null while the thread ends and its caches are gone already.
  Cache* ThisThreadsCache();
  void* AllocateSmall(int size_class);
  void* AllocateLarge(size_t bytes);
  // All blocks of a class in `cache` but `keep`.
  void Spill(Cache& cache, int size_class, int keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SpillAll(Cache& cache) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FreeBlock* TakeBatch(int size_class, int count, int* taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NotePeaks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetThread(Cache* cache);

  const uint64_t id_;  // of no other pool of this process, ever
  const char* const begin_;
  const char* const end_;
  mutable std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  PageHeap pages_ ABSL_GUARDED_BY(mu_);
  std::vector<SmallBlocks> small_ ABSL_GUARDED_BY(mu_);              // by class
  std::vector<std::unique_ptr<Cache>> caches_ ABSL_GUARDED_BY(mu_);  // of threads that live
  int64_t allocations_ ABSL_GUARDED_BY(mu_) = 0;                     // large ones, and those of threads that ended
  int64_t misses_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t peak_used_pages_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t peak_resident_pages_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_POOL_H_
