#include "memory/planned/planned_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "memory/planned/lifetime_recorder.h"
#include "memory/planned/pack_arena.h"
#include "memory/pool/pool.h"

namespace stowage {
namespace {

// The pool, with a count of what was asked of it.
class CountingSource final : public BlockSource {
 public:
  void* Allocate(size_t bytes) override {
    if (refuse) return nullptr;
    ++allocations;
    return pool->Allocate(bytes);
  }
  void Free(void* block, size_t bytes) override {
    ++frees;
    pool->Free(block, bytes);
  }

  std::unique_ptr<Pool> pool = *Pool::Create(PoolOptions{size_t{1} << 36});
  std::atomic<int> allocations{0}, frees{0};
  std::atomic<bool> refuse{false};
};

// What the tests plan: five blocks, of which 0 lives throughout, 1 and 3 share a place, and 4 outlives.
//   number  0     1     2     3     4
//   bytes   1000  2000  3000  2000  500
const Lifetimes kStep = {{1000, 5}, {2000, 2}, {3000, 5}, {2000, 5}, {500, BlockLifetime::kOutlives}};

class PlannedSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    plan_ = {{0, 4032, 1024, 4032, ArenaPlan::kNoPlace}, 6080, PeakLiveBytes(kStep)};
    source_ = std::make_unique<PlannedSource>(kStep, plan_, base_);
  }
  void Plan(const Lifetimes& lifetimes) {
    plan_ = PackArena(lifetimes);
    source_ = std::make_unique<PlannedSource>(lifetimes, plan_, base_);
  }

  CountingSource base_;
  ArenaPlan plan_;
  std::unique_ptr<PlannedSource> source_;
};

TEST_F(PlannedSourceTest, AStepAsPlannedAsksTheBaseForTheArenaOnly) {
  for (int step = 0; step < 3; ++step) {
    base_.allocations = 0;
    ASSERT_TRUE(source_->BeginStep());
    char* a = static_cast<char*>(source_->Allocate(1000));
    char* b = static_cast<char*>(source_->Allocate(2000));
    source_->Free(b, 2000);
    void* c = source_->Allocate(3000);
    void* d = source_->Allocate(2000);
    EXPECT_EQ(d, b);
    EXPECT_EQ(b - a, plan_.offsets[1] - plan_.offsets[0]);
    for (const auto& [block, bytes] : {std::pair<void*, size_t>{a, 1000}, {c, 3000}, {d, 2000}}) {
      source_->Free(block, bytes);
    }
    source_->EndStep();
    EXPECT_EQ(base_.allocations, 1);
  }
  EXPECT_EQ(source_->statistics().served, 12);
  EXPECT_EQ(source_->statistics().fallbacks(), 0);
  EXPECT_EQ(base_.frees, 3) << "the arena goes back at each end";
}

TEST_F(PlannedSourceTest, BlocksThatOutliveTheStepComeFromTheBase) {
  source_->BeginStep();
  void* blocks[4];
  for (int k = 0; k < 4; ++k) {
    blocks[k] = source_->Allocate(static_cast<size_t>(kStep[k].bytes));
    if (k == 1) source_->Free(blocks[1], 2000);
  }
  void* kept = source_->Allocate(500);
  for (int k : {0, 2, 3}) source_->Free(blocks[k], static_cast<size_t>(kStep[k].bytes));
  source_->EndStep();
  EXPECT_EQ(source_->statistics().outliving, 1);
  EXPECT_EQ(source_->statistics().fallbacks(), 0);
  EXPECT_EQ(source_->outstanding(), 1);
  std::memset(kept, 1, 500);
  source_->Free(kept, 500);
  EXPECT_EQ(source_->outstanding(), 0);
}

TEST_F(PlannedSourceTest, APlaceIsNotGivenTwiceWhenABlockIsFreedLaterThanPlanned) {
  source_->BeginStep();
  void* a = source_->Allocate(1000);
  void* b = source_->Allocate(2000);
  void* c = source_->Allocate(3000);
  void* d = source_->Allocate(2000);  // b is still there
  EXPECT_NE(d, b);
  EXPECT_EQ(source_->statistics().occupied, 1);
  for (const auto& [block, bytes] : {std::pair<void*, size_t>{a, 1000}, {b, 2000}, {c, 3000}, {d, 2000}}) {
    source_->Free(block, bytes);
  }
  source_->EndStep();
}

TEST_F(PlannedSourceTest, ABlockThatOutlivesItsStepUnforeseenKeepsItsPlaceAndTheArena) {
  source_->BeginStep();
  char* stray = static_cast<char*>(source_->Allocate(1000));
  source_->EndStep();
  EXPECT_EQ(source_->statistics().overdue, 1);
  EXPECT_EQ(base_.frees, 0);
  std::memset(stray, 7, 1000);
  for (int step = 0; step < 2; ++step) {
    ASSERT_TRUE(source_->BeginStep());
    void* a = source_->Allocate(1000);
    void* b = source_->Allocate(2000);
    EXPECT_NE(a, stray);
    std::memset(a, 1, 1000);
    std::memset(b, 2, 2000);
    source_->Free(a, 1000);
    source_->Free(b, 2000);
    source_->EndStep();
  }
  EXPECT_EQ(source_->statistics().occupied, 2);
  EXPECT_EQ(source_->statistics().served, 3);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(stray[i], 7);
  EXPECT_FALSE(source_->GiveArenaBack());
  source_->Free(stray, 1000);
  EXPECT_TRUE(source_->GiveArenaBack());
  source_->BeginStep();
  void* a = source_->Allocate(1000);
  EXPECT_EQ(source_->statistics().served, 4) << "its place is good again";
  source_->Free(a, 1000);
  source_->EndStep();
}

TEST_F(PlannedSourceTest, AnExtraBlockCostsOneFallbackAndAMissingOneASmallNumber) {
  Lifetimes lifetimes;
  for (int64_t k = 0; k < 100; ++k) lifetimes.push_back({1000 + 64 * k, k + 1});
  Plan(lifetimes);
  source_->BeginStep();
  const auto ask = [&](int64_t bytes) {
    void* block = source_->Allocate(static_cast<size_t>(bytes));
    source_->Free(block, static_cast<size_t>(bytes));
  };
  for (int64_t k = 0; k < 100; ++k) {
    if (k == 20) ask(77'777);  // one more than planned
    ask(1000 + 64 * k);
  }
  source_->EndStep();
  EXPECT_EQ(source_->statistics().unexpected, 1);
  EXPECT_EQ(source_->statistics().served, 100);

  source_->BeginStep();
  for (int64_t k = 0; k < 100; ++k) {
    if (k == 20) continue;                  // one less
    ask(k == 50 ? 55'555 : 1000 + 64 * k);  // and one of another size
  }
  source_->EndStep();
  const int64_t missing = PlannedSource::kAgreeing - 1, other = 1 + PlannedSource::kAgreeing - 1;
  EXPECT_EQ(source_->statistics().unexpected, 1 + missing + other);
}

TEST_F(PlannedSourceTest, BetweenStepsAndOnOtherThreadsBlocksComeFromTheBase) {
  void* before = source_->Allocate(1000);
  source_->Free(before, 1000);
  EXPECT_EQ(base_.allocations, 1);
  source_->BeginStep();
  std::thread([&] {
    void* block = source_->Allocate(1000);
    source_->Free(block, 1000);
  }).join();
  EXPECT_EQ(source_->statistics().served, 0);
  EXPECT_EQ(source_->statistics().fallbacks(), 0);
  void* a = source_->Allocate(1000);
  EXPECT_EQ(source_->statistics().served, 1) << "the plan has not moved";
  std::thread([&] { source_->Free(a, 1000); }).join();
  source_->EndStep();
  EXPECT_EQ(source_->statistics().overdue, 0);
}

TEST_F(PlannedSourceTest, WithoutRoomForTheArenaAStepRunsFromTheBase) {
  base_.refuse = true;
  EXPECT_FALSE(source_->BeginStep());
  base_.refuse = false;
  void* a = source_->Allocate(1000);
  ASSERT_NE(a, nullptr);
  source_->EndStep();
  source_->Free(a, 1000);
  EXPECT_EQ(source_->statistics().steps_without, 1);
  EXPECT_TRUE(source_->BeginStep()) << "the next step asks again";
  source_->EndStep();
}

TEST_F(PlannedSourceTest, ARefusalChangesNothing) {
  source_->BeginStep();
  base_.refuse = true;
  EXPECT_EQ(source_->Allocate(123'456), nullptr);
  EXPECT_EQ(source_->Allocate(123'456), nullptr);
  base_.refuse = false;
  EXPECT_EQ(source_->statistics().fallbacks(), 0);
  EXPECT_EQ(source_->outstanding(), 0);
  void* a = source_->Allocate(1000);
  EXPECT_EQ(source_->statistics().served, 1);
  source_->Free(a, 1000);
  source_->EndStep();
}

using PlannedSourceDeathTest = PlannedSourceTest;

TEST_F(PlannedSourceDeathTest, FreeingTwiceIsFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  source_->BeginStep();
  void* a = source_->Allocate(1000);
  source_->Free(a, 1000);
  EXPECT_DEATH(source_->Free(a, 1000), "freed before");
  source_->EndStep();
}

// Live blocks by address: none overlap, and each holds what was written into it.
class ShadowChecker {
 public:
  void Add(void* block, size_t bytes, uint8_t mark) {
    char* const begin = static_cast<char*>(block);
    const auto after = live_.lower_bound(begin);
    if (after != live_.end()) {
      ASSERT_LE(begin + bytes, after->first);
    }
    if (after != live_.begin()) {
      const auto before = std::prev(after);
      ASSERT_LE(before->first + before->second.first, begin);
    }
    std::memset(block, mark, bytes);
    live_[begin] = {bytes, mark};
  }
  void Remove(void* block) {
    const auto found = live_.find(static_cast<char*>(block));
    ASSERT_NE(found, live_.end());
    for (size_t i = 0; i < found->second.first; ++i) {
      ASSERT_EQ(static_cast<uint8_t>(found->first[i]), found->second.second) << "byte " << i;
    }
    live_.erase(found);
  }

 private:
  std::map<char*, std::pair<size_t, uint8_t>> live_;
};

// Random steps, first recorded, then played with more and more that the plan does not know: blocks left out, added, of
// another size, freed earlier, later, or in a later step.
TEST(PlannedSourceFuzzTest, WhateverAStepDoesNoTwoLiveBlocksOverlapAndContentsStay) {
  int64_t asked = 0, served = 0;  // of the steps with few surprises
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    CountingSource base;
    struct Ask {
      size_t bytes;
      int64_t life;
    };
    std::vector<Ask> asks;
    const int64_t count = 20 + static_cast<int64_t>(random() % 200);
    for (int64_t k = 0; k < count; ++k) {
      // Few sizes, so that a block often looks like another one.
      asks.push_back({64 * (1 + random() % (seed % 2 == 0 ? 5 : 60)), 1 + static_cast<int64_t>(random() % 30)});
    }
    ShadowChecker shadow;
    std::multimap<int64_t, std::pair<void*, size_t>> dying;  // by time, over all steps
    int64_t now = 0;
    const auto free_until = [&](int64_t time, BlockSource& source) {
      while (!dying.empty() && dying.begin()->first <= time) {
        const auto [block, bytes] = dying.begin()->second;
        shadow.Remove(block);
        source.Free(block, bytes);
        dying.erase(dying.begin());
      }
    };
    const auto play = [&](BlockSource& source, int wrong_per_mille) {
      const auto wrong = [&] { return static_cast<int>(random() % 1000) < wrong_per_mille; };
      for (Ask ask : asks) {
        free_until(++now, source);
        if (wrong()) continue;
        if (wrong()) ask.bytes = 1 + random() % 5000;
        if (wrong()) ask.life = 1 + static_cast<int64_t>(random() % 500);
        for (int n = wrong() ? 2 : 1; n > 0; --n) {
          void* block = source.Allocate(ask.bytes);
          ASSERT_TRUE(block != nullptr);
          shadow.Add(block, ask.bytes, static_cast<uint8_t>(random()));
          if (testing::Test::HasFatalFailure()) return;
          dying.emplace(now + ask.life, std::make_pair(block, ask.bytes));
        }
      }
    };

    LifetimeRecorder recorder(base);
    recorder.Start();
    play(recorder, 0);
    free_until(now + 1000, recorder);
    const Lifetimes lifetimes = recorder.Stop();
    PlannedSource source(lifetimes, PackArena(lifetimes), base);
    for (int step = 0; step < 12; ++step) {
      ASSERT_TRUE(source.BeginStep());
      play(source, step < 2 ? 0 : step * 10);
      if (testing::Test::HasFatalFailure()) return;
      if (step < 2) free_until(now + 1000, source);
      source.EndStep();
      if (step == 1) {
        EXPECT_EQ(source.statistics().served, 2 * count);
        EXPECT_EQ(source.statistics().fallbacks(), 0);
      }
      if (step == 2) {
        asked += count;
        served += source.statistics().served - 2 * count;
      }
    }
    EXPECT_GT(source.statistics().fallbacks(), 0);
    free_until(now + 1000, source);
    EXPECT_TRUE(source.GiveArenaBack());
    EXPECT_EQ(source.outstanding(), 0);
  }
  EXPECT_GT(2 * served, asked) << "after a surprise the plan is found again: " << served << " of " << asked;
}

// One thread plays steps, others free part of its blocks, some after the step; for the thread sanitizer too.
TEST(PlannedSourceThreadsTest, BlocksMayBeFreedOnOtherThreads) {
  CountingSource base;
  Lifetimes lifetimes;
  for (int64_t k = 0; k < 200; ++k) lifetimes.push_back({256 + 64 * (k % 7), std::min<int64_t>(200, k + 1 + k % 5)});
  PlannedSource source(lifetimes, PackArena(lifetimes), base);

  std::mutex mu;
  std::condition_variable changed;
  std::deque<std::pair<char*, size_t>> handed;
  bool done = false;
  const auto check_and_free = [&](char* block, size_t bytes) {
    for (size_t i = 1; i < bytes; ++i) ASSERT_EQ(block[i], block[0]);
    source.Free(block, bytes);
  };
  std::vector<std::thread> helpers;
  for (int t = 0; t < 3; ++t) {
    helpers.emplace_back([&] {
      for (;;) {
        std::unique_lock<std::mutex> lock(mu);
        changed.wait(lock, [&] { return done || !handed.empty(); });
        if (handed.empty()) return;
        const auto [block, bytes] = handed.front();
        handed.pop_front();
        lock.unlock();
        check_and_free(block, bytes);
        void* own = source.Allocate(300);  // of the base
        source.Free(own, 300);
      }
    });
  }
  for (int step = 0; step < 50; ++step) {
    source.BeginStep();
    std::multimap<int64_t, std::pair<char*, size_t>> dying;
    for (int64_t k = 0; k <= 200; ++k) {
      while (!dying.empty() && dying.begin()->first <= k) {
        const auto [block, bytes] = dying.begin()->second;
        dying.erase(dying.begin());
        if ((k + step) % 3 == 0) {
          const std::lock_guard<std::mutex> lock(mu);
          handed.emplace_back(block, bytes);
          changed.notify_one();
        } else {
          check_and_free(block, bytes);
        }
      }
      if (k == 200) break;
      const size_t bytes = static_cast<size_t>(lifetimes[static_cast<size_t>(k)].bytes);
      char* block = static_cast<char*>(source.Allocate(bytes));
      ASSERT_NE(block, nullptr);
      std::memset(block, static_cast<int>(k + step), bytes);
      dying.emplace(lifetimes[static_cast<size_t>(k)].death, std::make_pair(block, bytes));
    }
    source.EndStep();
  }
  {
    const std::lock_guard<std::mutex> lock(mu);
    done = true;
  }
  changed.notify_all();
  for (std::thread& helper : helpers) helper.join();
  EXPECT_TRUE(source.GiveArenaBack());
  EXPECT_EQ(source.outstanding(), 0);
}

}  // namespace
}  // namespace stowage
