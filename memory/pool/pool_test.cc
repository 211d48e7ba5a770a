#include "memory/pool/pool.h"

#include <cstdint>
#include <cstring>
#include <deque>
#include <set>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

std::unique_ptr<Pool> MakePool(int64_t limit_bytes = PageHeap::kNoLimit) {
  PoolOptions options;
  options.reserve_bytes = size_t{1} << 36;
  options.limit_bytes = limit_bytes;
  auto pool = Pool::Create(options);
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

TEST(SizeClassesTest, RoundUpByAtMostAnEighth) {
  int last = 0;
  for (size_t bytes = 1; bytes <= kLargestSmallBytes; ++bytes) {
    const int c = SizeClassOf(bytes);
    ASSERT_GE(SizeClassBytes(c), bytes);
    ASSERT_TRUE(c == 0 || SizeClassBytes(c - 1) < bytes) << bytes;
    ASSERT_EQ(SizeClassBytes(c) % kPoolAlignment, 0u);
    ASSERT_LE(SizeClassBytes(c) - bytes, std::max<size_t>(63, bytes / 8)) << bytes;
    ASSERT_TRUE(c == last || c == last + 1);
    last = c;
  }
  EXPECT_EQ(last, kSizeClasses - 1);
}

TEST(SizeClassesTest, TwoBlocksOfHalfTheSizeFitWhereAWholeOneLay) {
  constexpr size_t kHeader = 64, kPage = 4096;
  for (size_t half = 256; half < 100000; half += 7) {
    const size_t bytes = half * kPage;
    ASSERT_LE(2 * RunPages(bytes + kHeader), RunPages(2 * bytes + kHeader)) << half;
    ASSERT_LE(RunPages(bytes) * kPage, bytes + bytes / 256) << half;
  }
}

TEST(PoolTest, BlocksAreAlignedApartAndWritable) {
  auto pool = MakePool();
  std::vector<std::pair<char*, size_t>> blocks;
  std::set<std::pair<uintptr_t, uintptr_t>> spans;
  for (size_t bytes : {1, 63, 64, 65, 500, 4096, 32768, 32769, 100000, 5000000}) {
    for (int i = 0; i < 20; ++i) {
      char* block = static_cast<char*>(pool->Allocate(bytes));
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
      std::memset(block, i, bytes);
      blocks.push_back({block, bytes});
      spans.insert({reinterpret_cast<uintptr_t>(block), reinterpret_cast<uintptr_t>(block) + bytes});
    }
  }
  uintptr_t end = 0;
  for (const auto& [from, to] : spans) {
    ASSERT_GE(from, end);
    end = to;
  }
  for (const auto& [block, bytes] : blocks) pool->Free(block, bytes);
  pool->Trim();
  EXPECT_EQ(pool->Statistics().live, 0);
  EXPECT_EQ(pool->Statistics().resident, 0);
}

TEST(PoolTest, ReuseIsAHit) {
  auto pool = MakePool();
  // 40 blocks that touch new pages, then 60 of the same sizes that need none.
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(pool->Allocate(100000));
  for (void* block : blocks) pool->Free(block, 100000);
  for (int i = 0; i < 60; ++i) pool->Free(pool->Allocate(100000), 100000);
  EXPECT_EQ(pool->Statistics().allocations, 100);
  EXPECT_EQ(pool->Statistics().hits, 60);
  EXPECT_DOUBLE_EQ(pool->Statistics().hit_rate(), 0.6);
}

TEST(PoolTest, AStepRepeatedTouchesNothingNew) {
  auto pool = MakePool();
  const auto step = [&] {
    std::vector<std::pair<void*, size_t>> held;
    for (uint64_t i = 0; i < 300; ++i) {
      const size_t bytes = 1 + HashKey({3, i}) % (i % 5 == 0 ? 3000000 : 20000);
      held.push_back({pool->Allocate(bytes), bytes});
      if (i % 3 == 2) {
        const auto [block, size] = held[held.size() / 2];
        pool->Free(block, size);
        held.erase(held.begin() + held.size() / 2);
      }
    }
    for (const auto& [block, bytes] : held) pool->Free(block, bytes);
  };
  for (int i = 0; i < 30; ++i) step();  // until the caches hold what a step needs
  const int64_t misses = pool->Statistics().allocations - pool->Statistics().hits;
  const int64_t discarded = pool->Statistics().discarded;
  for (int i = 0; i < 20; ++i) step();
  EXPECT_EQ(pool->Statistics().allocations - pool->Statistics().hits, misses);
  EXPECT_EQ(pool->Statistics().discarded, discarded);
}

TEST(PoolTest, LimitHoldsAndTrimmingTheCacheMakesRoom) {
  auto pool = MakePool(int64_t{16} << 20);
  void* large = pool->Allocate(15 << 20);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(pool->Allocate(2 << 20), nullptr);
  std::vector<void*> small;
  while (void* block = pool->Allocate(1000)) small.push_back(block);
  EXPECT_GT(small.size(), 900u);
  EXPECT_LE(pool->Statistics().resident, int64_t{16} << 20);
  for (void* block : small) pool->Free(block, 1000);
  pool->Trim();
  void* again = pool->Allocate(1000000);
  EXPECT_NE(again, nullptr);
  pool->Free(again, 1000000);
  pool->Free(large, 15 << 20);
  EXPECT_LE(pool->Statistics().peak_resident, int64_t{16} << 20);
}

TEST(PoolTest, HugeRequestsAreRefusedAndTakeNothing) {
  auto pool = MakePool();
  EXPECT_EQ(pool->Allocate(size_t{1} << 63), nullptr);
  EXPECT_EQ(pool->Allocate(~size_t{0}), nullptr);
  EXPECT_EQ(pool->Allocate(size_t{1} << 37), nullptr);
  EXPECT_EQ(pool->Statistics().resident, 0);
}

TEST(PoolTest, FragmentationIsWhatAHandCounts) {
  auto pool = MakePool();
  std::vector<void*> runs;
  for (int i = 0; i < 8; ++i) runs.push_back(pool->Allocate(10 * 4096));
  EXPECT_EQ(pool->Statistics().fragmentation(), 0.0);
  pool->Free(runs[1], 10 * 4096);
  EXPECT_EQ(pool->Statistics().fragmentation(), 0.0);  // one hole: its largest part is all of it
  pool->Free(runs[3], 10 * 4096);
  EXPECT_DOUBLE_EQ(pool->Statistics().fragmentation(), 0.5);
  pool->Free(runs[4], 10 * 4096);
  EXPECT_DOUBLE_EQ(pool->Statistics().fragmentation(), 1.0 - 20.0 / 30.0);
  pool->Free(runs[6], 10 * 4096);
  EXPECT_DOUBLE_EQ(pool->Statistics().fragmentation(), 1.0 - 20.0 / 40.0);
  for (int i : {0, 2, 5, 7}) pool->Free(runs[i], 10 * 4096);
  EXPECT_EQ(pool->Statistics().fragmentation(), 0.0);
}

// A producer allocates, a consumer frees; every block comes back when both have ended.
TEST(PoolTest, BlocksMayBeFreedOnAnotherThread) {
  auto pool = MakePool();
  std::mutex mu;
  std::deque<std::pair<char*, size_t>> queue;
  bool done = false;
  std::thread consumer([&] {
    while (true) {
      std::pair<char*, size_t> item{nullptr, 0};
      {
        const std::lock_guard<std::mutex> lock(mu);
        if (queue.empty() && done) return;
        if (!queue.empty()) {
          item = queue.front();
          queue.pop_front();
        }
      }
      if (item.first == nullptr) {
        std::this_thread::yield();
        continue;
      }
      EXPECT_EQ(item.first[item.second - 1], 'x');
      pool->Free(item.first, item.second);
    }
  });
  std::thread producer([&] {
    for (uint64_t i = 0; i < 20000; ++i) {
      const size_t bytes = 1 + HashKey({1, i}) % (i % 100 == 0 ? 200000 : 3000);
      char* block = static_cast<char*>(pool->Allocate(bytes));
      block[bytes - 1] = 'x';
      const std::lock_guard<std::mutex> lock(mu);
      queue.push_back({block, bytes});
    }
    const std::lock_guard<std::mutex> lock(mu);
    done = true;
  });
  producer.join();
  consumer.join();
  EXPECT_EQ(pool->Statistics().live, 0);
  EXPECT_EQ(pool->Statistics().allocations, 20000);
}

TEST(PoolTest, EightThreadsHammeringEndAtZero) {
  auto pool = MakePool();
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::pair<char*, size_t>> held;
      for (uint64_t i = 0; i < 20000; ++i) {
        const uint64_t random = HashKey({t, i});
        if (held.size() < 50 || random % 2 == 0) {
          const size_t bytes = 1 + (random >> 8) % (random % 64 == 0 ? 100000 : 2000);
          char* block = static_cast<char*>(pool->Allocate(bytes));
          ASSERT_NE(block, nullptr);
          std::memset(block, static_cast<int>(t), std::min<size_t>(bytes, 64));
          held.push_back({block, bytes});
        } else {
          const size_t which = (random >> 20) % held.size();
          ASSERT_EQ(held[which].first[0], static_cast<char>(t));
          pool->Free(held[which].first, held[which].second);
          held[which] = held.back();
          held.pop_back();
        }
        if (i % 5000 == 0) pool->Trim();
      }
      for (const auto& [block, bytes] : held) pool->Free(block, bytes);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->Statistics().live, 0);
}

TEST(PoolTest, TwoPoolsDoNotMix) {
  auto one = MakePool(), two = MakePool();
  void* a = one->Allocate(100);
  void* b = two->Allocate(100);
  EXPECT_TRUE(one->Contains(a) && !one->Contains(b) && two->Contains(b) && !two->Contains(a));
  one->Free(a, 100);
  two->Free(b, 100);
  one.reset();
  b = two->Allocate(100);  // the thread's caches of the pool that ended are not used again
  EXPECT_TRUE(two->Contains(b));
  two->Free(b, 100);
  auto three = MakePool();
  a = three->Allocate(100);
  EXPECT_TRUE(three->Contains(a));
  three->Free(a, 100);
}

TEST(PoolTest, TouchedBytesAreThoseThatWereWritten) {
  const auto pool = *Pool::Create({});
  EXPECT_EQ(pool->TouchedBytes(), 0);
  constexpr size_t kBytes = size_t{64} << 20;
  char* block = static_cast<char*>(pool->Allocate(kBytes));
  std::memset(block, 1, kBytes / 4);
  // Huge pages fill up to 2 MiB more.
  EXPECT_GE(pool->TouchedBytes(), static_cast<int64_t>(kBytes / 4));
  EXPECT_LE(pool->TouchedBytes(), static_cast<int64_t>(kBytes / 4) + (int64_t{2} << 20));
  std::memset(block, 1, kBytes);
  EXPECT_EQ(pool->TouchedBytes(), static_cast<int64_t>(kBytes));
  pool->Free(block, kBytes);
  pool->Trim();
  EXPECT_EQ(pool->TouchedBytes(), 0);
}

}  // namespace
}  // namespace stowage
