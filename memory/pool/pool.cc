#include "memory/pool/pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr int64_t kPageBytes = static_cast<int64_t>(AddressRange::kPageBytes);

// How many blocks of a class a thread keeps: 16 KiB of the smallest up to kMostCachedBytes of the largest.
constexpr int MostCached(int size_class) {
  return static_cast<int>(std::clamp<size_t>(Pool::kMostCachedBytes / SizeClassBytes(size_class), 4, 256));
}

// Whole pages of a bound; no bound stays none.
int64_t Pages(int64_t bytes) { return bytes == PageHeap::kNoLimit ? bytes : bytes / kPageBytes; }

// A counter that one thread writes and others read: no read-modify-write is needed.
void Count(std::atomic<int64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

// Blocks that this thread freed and will ask for again.
struct Pool::Cache {
  struct Class {
    FreeBlock* blocks = nullptr;
    int count = 0;
    int batch = 1;  // how many to take next
  };
  std::array<Class, kSizeClasses> classes;
  std::atomic<int64_t> allocations{0};  // written by the owner only
};

// Which pools exist: a thread that ends gives its blocks back to those that still do.
struct Pool::Registry {
  std::mutex mu;
  std::map<uint64_t, Pool*> pools ABSL_GUARDED_BY(mu);
  uint64_t next ABSL_GUARDED_BY(mu) = 1;

  // Never destroyed: threads may end after main.
  static Registry& Get() {
    static Registry* const registry = new Registry;
    return *registry;
  }
};

struct Pool::ThreadCaches {
  std::map<uint64_t, Cache*> by_pool;  // owned by the pools

  ~ThreadCaches() {
    ended = true;
    last_pool = 0;
    Registry& registry = Registry::Get();
    const std::lock_guard<std::mutex> lock(registry.mu);  // so that none of the pools ends meanwhile
    for (const auto& [id, cache] : by_pool) {
      const auto pool = registry.pools.find(id);
      if (pool != registry.pools.end()) pool->second->ForgetThread(cache);
    }
  }

  static thread_local ThreadCaches all;
  // Without destructors, so that they can be read to the thread's very end.
  static thread_local bool ended;
  static thread_local uint64_t last_pool;  // the one that last_cache belongs to; 0: none
  static thread_local Cache* last_cache;
};

thread_local Pool::ThreadCaches Pool::ThreadCaches::all;
thread_local bool Pool::ThreadCaches::ended = false;
thread_local uint64_t Pool::ThreadCaches::last_pool = 0;
thread_local Pool::Cache* Pool::ThreadCaches::last_cache = nullptr;

absl::StatusOr<std::unique_ptr<Pool>> Pool::Create(const PoolOptions& options) {
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<AddressRange> range,
                           AddressRange::Reserve(options.reserve_bytes, options.least_bytes));
  return std::unique_ptr<Pool>(new Pool(std::move(range), options));
}

Pool::Pool(std::unique_ptr<AddressRange> range, const PoolOptions& options)
    : id_([this] {
        Registry& registry = Registry::Get();
        const std::lock_guard<std::mutex> lock(registry.mu);
        registry.pools[registry.next] = this;
        return registry.next++;
      }()),
      begin_(range->base()),
      end_(range->base() + range->bytes()),
      pages_(std::move(range), {Pages(options.limit_bytes), Pages(options.most_idle_bytes), options.slack_share,
                                options.slack_bytes / kPageBytes}) {
  small_.reserve(kSizeClasses);
  for (int i = 0; i < kSizeClasses; ++i) small_.emplace_back(SizeClassBytes(i), &pages_);
}

Pool::~Pool() {
  Registry& registry = Registry::Get();
  const std::lock_guard<std::mutex> lock(registry.mu);
  registry.pools.erase(id_);
}

bool Pool::Contains(const void* p) const { return p >= begin_ && p < end_; }

Pool::Cache* Pool::ThisThreadsCache() {
  if (ThreadCaches::last_pool == id_) return ThreadCaches::last_cache;
  if (ThreadCaches::ended) return nullptr;
  Cache*& cache = ThreadCaches::all.by_pool[id_];
  if (cache == nullptr) {
    auto made = std::make_unique<Cache>();
    cache = made.get();
    const std::lock_guard<std::mutex> lock(mu_);
    caches_.push_back(std::move(made));
  }
  ThreadCaches::last_pool = id_;
  ThreadCaches::last_cache = cache;
  return cache;
}

void Pool::ForgetThread(Cache* cache) {
  const std::lock_guard<std::mutex> lock(mu_);
  SpillAll(*cache);
  allocations_ += cache->allocations.load(std::memory_order_relaxed);
  caches_.erase(std::find_if(caches_.begin(), caches_.end(), [&](const auto& c) { return c.get() == cache; }));
}

void Pool::NotePeaks() {
  peak_used_pages_ = std::max(peak_used_pages_, pages_.used_pages());
  peak_resident_pages_ = std::max(peak_resident_pages_, pages_.resident_pages());
}

void Pool::Spill(Cache& cache, int size_class, int keep) {
  Cache::Class& from = cache.classes[size_class];
  FreeBlock* list = nullptr;
  for (; from.count > keep; --from.count) {
    FreeBlock* block = from.blocks;
    from.blocks = block->next;
    block->next = list;
    list = block;
  }
  small_[size_class].Give(list);
}

void Pool::SpillAll(Cache& cache) {
  for (int i = 0; i < kSizeClasses; ++i) Spill(cache, i, 0);
}

FreeBlock* Pool::TakeBatch(int size_class, int count, int* taken) {
  const int64_t fresh_before = pages_.fresh_pages();
  FreeBlock* list = small_[size_class].Take(count, taken);
  if (pages_.fresh_pages() != fresh_before) ++misses_;
  NotePeaks();
  return list;
}

void* Pool::AllocateSmall(int size_class) {
  Cache* cache = ThisThreadsCache();
  if (cache == nullptr) {
    const std::lock_guard<std::mutex> lock(mu_);
    int taken = 0;
    ++allocations_;
    return TakeBatch(size_class, 1, &taken);
  }
  Count(cache->allocations);
  Cache::Class& mine = cache->classes[size_class];
  if (mine.blocks == nullptr) {
    const std::lock_guard<std::mutex> lock(mu_);
    mine.blocks = TakeBatch(size_class, mine.batch, &mine.count);
    if (mine.blocks == nullptr) return nullptr;
    // Twice as many each time, up to a quarter of what may be kept, so that neither the next free nor the next
    // allocation comes here again. A size of which a step needs one block costs no span full of them (as in tcmalloc).
    mine.batch = std::min(2 * mine.batch, std::max(1, MostCached(size_class) / 4));
  }
  FreeBlock* block = mine.blocks;
  mine.blocks = block->next;
  --mine.count;
  return block;
}

void* Pool::AllocateLarge(size_t bytes) {
  const int64_t pages = RunPages(bytes);
  const std::lock_guard<std::mutex> lock(mu_);
  const int64_t fresh_before = pages_.fresh_pages();
  void* block = pages_.Allocate(pages);
  if (block == nullptr) return nullptr;
  ++allocations_;
  if (pages_.fresh_pages() != fresh_before) ++misses_;
  NotePeaks();
  return block;
}

void* Pool::Allocate(size_t bytes) {
  STOWAGE_CHECK(bytes >= 1) << "a block of no bytes";
  return bytes <= kLargestSmallBytes ? AllocateSmall(SizeClassOf(bytes)) : AllocateLarge(bytes);
}

void Pool::Free(void* block, size_t bytes) {
  if (bytes > kLargestSmallBytes) {
    const std::lock_guard<std::mutex> lock(mu_);
    pages_.Free(static_cast<char*>(block), RunPages(bytes));
    return;
  }
  const int size_class = SizeClassOf(bytes);
  FreeBlock* const freed = static_cast<FreeBlock*>(block);
  Cache* cache = ThisThreadsCache();
  if (cache == nullptr) {
    const std::lock_guard<std::mutex> lock(mu_);
    freed->next = nullptr;
    small_[size_class].Give(freed);
    return;
  }
  Cache::Class& mine = cache->classes[size_class];
  if (mine.count >= MostCached(size_class)) {
    const std::lock_guard<std::mutex> lock(mu_);
    Spill(*cache, size_class, MostCached(size_class) / 2);
  }
  freed->next = mine.blocks;
  mine.blocks = freed;
  ++mine.count;
}

int64_t Pool::Trim(int64_t keep_bytes) {
  Cache* cache = ThisThreadsCache();
  const std::lock_guard<std::mutex> lock(mu_);
  if (cache != nullptr) SpillAll(*cache);
  return pages_.Trim(keep_bytes / kPageBytes) * kPageBytes;
}

void Pool::SetLimit(int64_t limit_bytes) {
  const std::lock_guard<std::mutex> lock(mu_);
  pages_.set_limit_pages(Pages(limit_bytes));
}

void Pool::SetMostIdle(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mu_);
  pages_.set_most_idle_pages(Pages(bytes));
}

int64_t Pool::most_idle() const {
  const std::lock_guard<std::mutex> lock(mu_);
  const int64_t pages = pages_.most_idle_pages();
  return pages == PageHeap::kNoLimit ? pages : pages * kPageBytes;
}

int64_t Pool::TouchedBytes() const {
  std::array<std::pair<int64_t, int64_t>, 2> parts;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    parts = pages_.frontiers();
  }
  // The rest of the last huge page was made usable with it, and may have been filled with it.
  constexpr int64_t kHugePage = 512;
  constexpr int64_t kAtOnce = 16384;  // 64 MiB: the vector stays small
  std::vector<unsigned char> present;
  int64_t touched = 0;
  for (const auto& [begin, frontier] : parts) {
    const int64_t last = std::min((frontier + kHugePage - 1) / kHugePage * kHugePage, (end_ - begin_) / kPageBytes);
    present.resize(std::max<size_t>(present.size(), std::min(last - begin, kAtOnce)));
    for (int64_t first = begin; first < last; first += kAtOnce) {
      const int64_t count = std::min(kAtOnce, last - first);
      char* const from = const_cast<char*>(begin_) + first * kPageBytes;
      if (mincore(from, static_cast<size_t>(count * kPageBytes), present.data()) != 0) return 0;
      touched += std::count_if(present.begin(), present.begin() + count, [](unsigned char p) { return (p & 1) != 0; });
    }
  }
  return touched * kPageBytes;
}

PoolStatistics Pool::Statistics() const {
  const std::lock_guard<std::mutex> lock(mu_);
  const PageHeap::Statistics pages = pages_.GetStatistics();
  PoolStatistics out;
  out.allocations = allocations_;
  for (const auto& cache : caches_) out.allocations += cache->allocations.load(std::memory_order_relaxed);
  out.hits = out.allocations - misses_;
  out.live = pages.used_pages * kPageBytes;
  out.peak_live = peak_used_pages_ * kPageBytes;
  out.resident = pages.resident_pages * kPageBytes;
  out.peak_resident = peak_resident_pages_ * kPageBytes;
  out.idle = out.resident - out.live;
  out.largest_free = pages.largest_free_pages * kPageBytes;
  out.free = pages.free_pages * kPageBytes;
  out.discarded = pages.discarded_pages * kPageBytes;
  out.discards = pages.discards;
  out.choosing_ns = pages.choosing_ns;
  out.system_ns = pages.system_ns;
  return out;
}

}  // namespace stowage
