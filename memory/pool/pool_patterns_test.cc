// Patterns of allocation that break plain pools, and what becomes of them here.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "gtest/gtest.h"
#include "memory/pool/fragmentation_watch.h"
#include "memory/pool/pool.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

std::unique_ptr<Pool> MakePool() { return *Pool::Create(PoolOptions()); }

// A plain free list: the first hole that is large enough, merged when freed, extended at its end, nothing given back.
class FirstFit {
 public:
  int64_t Allocate(int64_t bytes) {
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      if (hole->second < bytes) continue;
      const auto [at, size] = *hole;
      holes_.erase(hole);
      if (size > bytes) holes_[at + bytes] = size - bytes;
      return at;
    }
    const int64_t at = end_;
    end_ += bytes;
    return at;
  }
  void Free(int64_t at, int64_t bytes) {
    auto hole = holes_.emplace(at, bytes).first;
    const auto next = std::next(hole);
    if (next != holes_.end() && hole->first + hole->second == next->first) {
      hole->second += next->second;
      holes_.erase(next);
    }
    if (hole != holes_.begin()) {
      const auto last = std::prev(hole);
      if (last->first + last->second == hole->first) {
        last->second += hole->second;
        holes_.erase(hole);
      }
    }
  }
  // As PoolStatistics::fragmentation.
  double fragmentation() const {
    int64_t free = 0, largest = 0;
    for (const auto& [at, bytes] : holes_) {
      free += bytes;
      largest = std::max(largest, bytes);
    }
    return free == 0 ? 0.0 : 1.0 - static_cast<double>(largest) / static_cast<double>(free);
  }

 private:
  std::map<int64_t, int64_t> holes_;
  int64_t end_ = 0;
};

// 1000 square tensors of side 100 to 999; after every hundred, only the last fifty stay.
TEST(PoolPatternsTest, StressIsServedFromThePoolAndFragmentsLessThanAFirstFitList) {
  const auto pool = MakePool();
  FirstFit list;
  struct Block {
    void* ours;
    int64_t theirs, bytes;
  };
  std::vector<Block> blocks;
  double ours = 0.0, theirs = 0.0;
  for (uint64_t i = 0; i < 1000; ++i) {
    const int64_t side = 100 + static_cast<int64_t>(HashKey({20, i}) % 900);
    const int64_t bytes = (4 * side * side + 4095) / 4096 * 4096;  // whole pages for both
    blocks.push_back({pool->Allocate(static_cast<size_t>(bytes)), list.Allocate(bytes), bytes});
    if (i % 100 != 99) continue;
    for (size_t b = 0; b + 50 < blocks.size(); ++b) {
      pool->Free(blocks[b].ours, static_cast<size_t>(blocks[b].bytes));
      list.Free(blocks[b].theirs, blocks[b].bytes);
    }
    blocks.erase(blocks.begin(), blocks.end() - 50);
    ours += pool->Statistics().fragmentation() / 10;
    theirs += list.fragmentation() / 10;
  }
  EXPECT_GE(pool->Statistics().hit_rate(), 0.75);
  EXPECT_LE(ours, 0.85 * theirs) << "share of the free bytes that the largest hole is not, on average";
  for (const Block& block : blocks) pool->Free(block.ours, static_cast<size_t>(block.bytes));
  EXPECT_EQ(pool->Statistics().live, 0);
}

// Keeps every block that was freed and hands the smallest out that is large enough; neither splits nor gives back.
class PlainPool {
 public:
  int64_t Allocate(int64_t bytes) {
    const auto fit = cached_.lower_bound(bytes);
    if (fit == cached_.end()) {
      reserved_ += bytes;
      return bytes;
    }
    const int64_t size = *fit;
    cached_.erase(fit);
    return size;
  }
  void Free(int64_t size) { cached_.insert(size); }
  int64_t reserved() const { return reserved_; }

 private:
  std::multiset<int64_t> cached_;
  int64_t reserved_ = 0;
};

// Every step's batch is larger than the one before: no freed block is large enough again.
TEST(PoolPatternsTest, GrowingBatchesUseWhatSmallerOnesHeld) {
  const auto pool = MakePool();
  PlainPool plain;
  int64_t peak_live = 0;
  for (int64_t batch = 16; batch <= 64; batch += 4) {
    std::vector<std::pair<void*, size_t>> ours;
    std::vector<int64_t> theirs;
    int64_t live = 0;
    for (int64_t layer = 1; layer <= 8; ++layer) {
      const int64_t bytes = batch * (64 << 10) + layer * 4096 * batch;
      ours.push_back({pool->Allocate(static_cast<size_t>(bytes)), static_cast<size_t>(bytes)});
      theirs.push_back(plain.Allocate(bytes));
      live += bytes;
    }
    peak_live = std::max(peak_live, live);
    for (const auto& [block, bytes] : ours) pool->Free(block, bytes);
    for (const int64_t size : theirs) plain.Free(size);
  }
  const double efficiency = static_cast<double>(peak_live) / static_cast<double>(pool->Statistics().peak_resident);
  const double plain_efficiency = static_cast<double>(peak_live) / static_cast<double>(plain.reserved());
  EXPECT_GE(efficiency, 0.85);
  EXPECT_LT(plain_efficiency, 0.70);
  EXPECT_LE(static_cast<double>(pool->Statistics().peak_resident), 0.9 * static_cast<double>(plain.reserved()));
}

// Every second block of a megabyte is freed: half of what is resident is idle.
class FragmentationWatchTest : public testing::Test {
 protected:
  static constexpr int kBlocks = 64;
  FragmentationWatchTest() : pool_(MakePool()) {
    for (int i = 0; i < kBlocks; ++i) blocks_.push_back(static_cast<char*>(pool_->Allocate(kMiB)));
    for (int i = 0; i < kBlocks; ++i) std::memset(blocks_[i], i + 1, kMiB);
  }
  ~FragmentationWatchTest() override {
    for (char* block : blocks_) {
      if (block != nullptr) pool_->Free(block, kMiB);
    }
  }
  void FreeEverySecond() {
    for (int i = 1; i < kBlocks; i += 2) pool_->Free(std::exchange(blocks_[i], nullptr), kMiB);
  }
  void FillAgain() {
    for (char*& block : blocks_) {
      if (block == nullptr) block = static_cast<char*>(pool_->Allocate(kMiB));
    }
  }

  const std::unique_ptr<Pool> pool_;
  std::vector<char*> blocks_;
};

TEST_F(FragmentationWatchTest, GivesIdleHolesBackAndLeavesLiveBlocksAsTheyAre) {
  FragmentationWatch watch(pool_.get());
  EXPECT_FALSE(watch.Check().has_value());
  FreeEverySecond();
  EXPECT_EQ(pool_->Statistics().slack(), 0.5);
  const std::optional<FragmentationCleanup> cleanup = watch.Check();
  ASSERT_TRUE(cleanup.has_value());
  EXPECT_EQ(cleanup->slack_before, 0.5);
  EXPECT_LE(cleanup->slack_after, 0.85 * cleanup->slack_before);
  EXPECT_EQ(cleanup->released_bytes, kBlocks / 2 * kMiB);
  EXPECT_GT(cleanup->choosing_ns, 0);
  EXPECT_GT(cleanup->system_ns, 0);
  for (int i = 0; i < kBlocks; i += 2) {
    ASSERT_EQ(std::count(blocks_[i], blocks_[i] + kMiB, static_cast<char>(i + 1)), kMiB) << i;
  }
}

TEST_F(FragmentationWatchTest, WorksOncePerCrossing) {
  FragmentationWatch watch(pool_.get());
  int cleanups = 0;
  for (int crossing = 0; crossing < 3; ++crossing) {
    FreeEverySecond();
    for (int i = 0; i < 5; ++i) cleanups += watch.Check().has_value();
    FillAgain();
    for (int i = 0; i < 5; ++i) cleanups += watch.Check().has_value();
  }
  EXPECT_EQ(cleanups, 3);
}

TEST_F(FragmentationWatchTest, BelowItsLimitItDoesNothing) {
  FragmentationWatch watch(pool_.get(), 0.6);
  FreeEverySecond();
  EXPECT_FALSE(watch.Check().has_value());
  EXPECT_EQ(pool_->Statistics().slack(), 0.5);
}

}  // namespace
}  // namespace stowage
