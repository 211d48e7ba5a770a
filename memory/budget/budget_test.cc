#include "memory/budget/budget.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;

// A pool of its own, and a process whose bytes outside of it are what the test says.
class BudgetTest : public testing::Test {
 protected:
  BudgetTest() {
    options_.bytes = 256 * kMiB;
    options_.source = "memory.host: 256MiB";
    options_.advice = "raise memory.host";
    options_.allowance_bytes = 16 * kMiB;
    options_.limit_data = false;
    options_.resident_bytes = [this]() -> absl::StatusOr<int64_t> {
      ++measured_;
      return outside_ + pool_->TouchedBytes();
    };
  }

  void Make() {
    auto made = Budget::Create(pool_.get(), &ledger_, options_);
    ASSERT_TRUE(made.ok()) << made.status();
    budget_ = *std::move(made);
  }

  // As the allocator does it; the block is written. Null: refused for good.
  void* Take(int64_t bytes) {
    void* block = pool_->Allocate(static_cast<size_t>(bytes));
    for (int asked = 0; block == nullptr && budget_->MakeRoom(bytes); ++asked) {
      EXPECT_LT(asked, 10) << "asked again and again";
      if (asked >= 10) return nullptr;
      block = pool_->Allocate(static_cast<size_t>(bytes));
    }
    if (block == nullptr) return nullptr;
    std::memset(block, 1, static_cast<size_t>(bytes));
    ledger_.Allocate(Category::kWorkspace, bytes);
    most_held_ = std::max(most_held_, outside_ + pool_->TouchedBytes());
    return block;
  }

  void Give(void* block, int64_t bytes) {
    ledger_.Free(Category::kWorkspace, bytes);
    pool_->Free(block, static_cast<size_t>(bytes));
  }

  std::unique_ptr<Pool> pool_ = *Pool::Create({});
  Ledger ledger_;
  BudgetOptions options_;
  std::unique_ptr<Budget> budget_;
  int64_t outside_ = 100 * kMiB;
  int64_t most_held_ = 0;
  int measured_ = 0;
};

TEST_F(BudgetTest, ReserveOverLimitFailsAndTakesNothing) {
  Make();
  std::vector<void*> blocks;
  void* block = nullptr;
  while ((block = Take(8 * kMiB)) != nullptr) blocks.push_back(block);
  EXPECT_EQ(blocks.size(), 17u);  // 256 - 100 - 16 = 140 MiB
  EXPECT_LE(most_held_, options_.bytes);
  const PoolStatistics before = pool_->Statistics();
  EXPECT_EQ(Take(8 * kMiB), nullptr);
  EXPECT_EQ(pool_->Statistics().live, before.live);
  EXPECT_EQ(pool_->Statistics().resident, before.resident);
  // What is given back serves the next.
  Give(blocks.back(), 8 * kMiB);
  EXPECT_NE(Take(8 * kMiB), nullptr);
}

TEST_F(BudgetTest, TheOutsideIsMeasuredAgainBeforeEachNewRange) {
  Make();
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(Take(8 * kMiB));
  outside_ += 60 * kMiB;  // 16 MiB are left
  int more = 0;
  while (Take(8 * kMiB) != nullptr) ++more;
  EXPECT_LE(more, 2);
  EXPECT_LE(most_held_, options_.bytes);
}

TEST_F(BudgetTest, MeasuringIsRareWhereThereIsRoom) {
  options_.bytes = 1024 * kMiB;
  Make();
  const int before = measured_;
  for (int i = 0; i < 512; ++i) ASSERT_NE(Take(kMiB), nullptr);
  EXPECT_LE(measured_ - before, 10);  // a window is 64 MiB
}

TEST_F(BudgetTest, BlocksNotYetWrittenCountAsTaken) {
  Make();
  ASSERT_TRUE(budget_->MakeRoom(100 * kMiB));
  void* block = pool_->Allocate(100 * kMiB);  // resident for the pool, not yet for the kernel
  ASSERT_NE(block, nullptr);
  int more = 0;
  while (Take(8 * kMiB) != nullptr) ++more;
  EXPECT_EQ(more, 5);  // 140 - 100
  std::memset(block, 1, 100 * kMiB);
  EXPECT_LE(outside_ + pool_->TouchedBytes(), options_.bytes);
}

TEST_F(BudgetTest, ReclaimsRunInOrderAndOnlyUntilThereIsRoom) {
  std::vector<std::string> ran;
  outside_ += 100 * kMiB;  // two caches of 50 MiB
  Make();
  for (const char* name : {"first", "second"}) {
    budget_->AddReclaim(name, [this, &ran, name](int64_t bytes) {
      EXPECT_GT(bytes, 0);
      ran.push_back(name);
      outside_ -= 50 * kMiB;
      return 50 * kMiB;
    });
  }
  void* block = Take(60 * kMiB);  // 256 - 200 - 16 = 40
  EXPECT_NE(block, nullptr);
  EXPECT_THAT(ran, testing::ElementsAre("first"));
  EXPECT_LE(most_held_, options_.bytes);
}

TEST_F(BudgetTest, GivingBackWhatIsIdleAsksEveryCacheAndLeavesBlocksAlone) {
  int64_t asked = 0;
  outside_ += 50 * kMiB;
  Make();
  for (const char* name : {"first", "second"}) {
    budget_->AddReclaim(name, [&](int64_t) {
      ++asked;
      outside_ -= 25 * kMiB;
      return 25 * kMiB;
    });
  }
  void* const kept = Take(20 * kMiB);
  void* const block = Take(60 * kMiB);
  ASSERT_NE(block, nullptr);
  Give(block, 60 * kMiB);
  EXPECT_GT(pool_->Statistics().idle, 50 * kMiB);
  budget_->GiveBackIdle();
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(pool_->Statistics().idle, 0);
  EXPECT_EQ(static_cast<const char*>(kept)[0], 1);
  EXPECT_NE(Take(110 * kMiB), nullptr);  // 256 - 100 - 16 - 20, of which the caches had 50
}

TEST_F(BudgetTest, TheErrorSaysWhatWasAskedWhatIsHeldAndWhatToChange) {
  options_.instruction = [] { return "backward layer3"; };
  options_.largest_holders = [] { return "weights 60 MiB"; };
  Make();
  ASSERT_NE(Take(60 * kMiB), nullptr);
  ASSERT_EQ(Take(90 * kMiB), nullptr);
  EXPECT_EQ(budget_->Explain(90 * kMiB, Category::kGradients),
            "memory.host: 256MiB has no room for 90 MiB of gradients (backward layer3): outside of tensors the process "
            "holds 100 MiB, 16 MiB are kept free for its growth, and tensors hold 60 MiB (workspace 60 MiB); with this "
            "request it would be 266 MiB; raise memory.host; the largest: weights 60 MiB");
}

TEST_F(BudgetTest, AnAbsurdSizeIsRefusedAndTheRestStays) {
  Make();
  const int64_t most = std::numeric_limits<int64_t>::max();
  ASSERT_NE(Take(8 * kMiB), nullptr);
  EXPECT_FALSE(budget_->MakeRoom(most));
  EXPECT_THAT(budget_->Explain(most, Category::kData), HasSubstr("has no room for"));
  EXPECT_NE(Take(8 * kMiB), nullptr);
}

TEST_F(BudgetTest, ABudgetBelowWhatTheProcessHoldsIsRefusedAtOnce) {
  outside_ = 300 * kMiB;
  const auto made = Budget::Create(pool_.get(), &ledger_, options_);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(made.status().message()),
              AllOf(HasSubstr("memory.host: 256MiB is less than the process holds before it begins"),
                    HasSubstr("300 MiB"), HasSubstr("more than 316 MiB")));
}

TEST_F(BudgetTest, CheckGivesIdlePagesBackWhenTheOutsideGrew) {
  Make();
  void* block = Take(120 * kMiB);
  Give(block, 120 * kMiB);
  outside_ += 100 * kMiB;
  EXPECT_GT(outside_ + pool_->TouchedBytes(), options_.bytes);
  const auto checked = budget_->Check();
  EXPECT_TRUE(checked.ok()) << checked.status();
  EXPECT_LE(outside_ + pool_->TouchedBytes(), options_.bytes - options_.allowance_bytes);
}

TEST_F(BudgetTest, CheckFailsWhereGivingBackDoesNotHelp) {
  Make();
  ASSERT_NE(Take(120 * kMiB), nullptr);
  outside_ += 100 * kMiB;
  const auto checked = budget_->Check();
  EXPECT_EQ(checked.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(checked.status().message()), HasSubstr("is exceeded by 64 MiB"));
}

TEST_F(BudgetTest, EachThresholdIsSaidOnce) {
  options_.warning_share = 0.75;
  options_.critical_share = 0.9;
  Make();
  EXPECT_EQ(*budget_->Check(), "");
  ASSERT_NE(Take(92 * kMiB), nullptr);  // 192 of 256 are 75 %
  EXPECT_THAT(*budget_->Check(), HasSubstr("memory warning: the peak is at 75 % of memory.host: 256MiB"));
  EXPECT_EQ(*budget_->Check(), "");
  ASSERT_NE(Take(40 * kMiB), nullptr);
  EXPECT_THAT(*budget_->Check(), HasSubstr("memory critical: the peak is at 91 %"));
  EXPECT_EQ(*budget_->Check(), "");
}

TEST_F(BudgetTest, SharedWindowsOfThisRankCount) {
  options_.own_window_bytes = [] { return 100 * kMiB; };
  Make();
  EXPECT_NE(Take(32 * kMiB), nullptr);  // 256 - 200 - 16 = 40
  EXPECT_EQ(Take(16 * kMiB), nullptr);
}

TEST_F(BudgetTest, ThePoolIsFreeAgainWithoutTheBudget) {
  Make();
  EXPECT_EQ(Take(200 * kMiB), nullptr);
  budget_.reset();
  EXPECT_NE(pool_->Allocate(200 * kMiB), nullptr);
}

TEST_F(BudgetTest, ThreadsTogetherStayBelow) {
  Make();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::vector<void*> mine;
      for (int i = 0; i < 200; ++i) {
        void* block = pool_->Allocate(2 * kMiB);
        while (block == nullptr && budget_->MakeRoom(2 * kMiB)) block = pool_->Allocate(2 * kMiB);
        if (block != nullptr) {
          std::memset(block, 1, 2 * kMiB);
          mine.push_back(block);
        }
        if (mine.size() > 20 || (block == nullptr && !mine.empty())) {
          pool_->Free(mine.back(), 2 * kMiB);
          mine.pop_back();
        }
      }
      for (void* block : mine) pool_->Free(block, 2 * kMiB);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_->Statistics().live, 0);
  // What threads write while another one measures is covered by the allowance.
  EXPECT_LE(pool_->Statistics().peak_resident, options_.bytes - outside_);
}

// As malloc asks the system for a large block.
bool CanMap(int64_t bytes) {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return false;
  munmap(at, bytes);
  return true;
}

TEST(DataLimitTest, StopsWhatGoesFarBeyondTheBudgetAndGoesWithIt) {
  rlimit before, now;
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &before), 0);
  {
    DataLimit limit;
    limit.Set(64 * kMiB, 0);
    ASSERT_GT(limit.bytes(), 0);
    EXPECT_TRUE(CanMap(32 * kMiB));
    EXPECT_FALSE(CanMap(200 * kMiB));
    // With more left it is allowed again, and Set says that the limit was in the way.
    EXPECT_TRUE(limit.Set(400 * kMiB, 200 * kMiB));
    EXPECT_FALSE(limit.Set(400 * kMiB, 200 * kMiB));
    EXPECT_TRUE(CanMap(200 * kMiB));
  }
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &now), 0);
  EXPECT_EQ(now.rlim_cur, before.rlim_cur);
}

TEST(DataLimitTest, APoolsReservedRangeDoesNotCount) {
  DataLimit limit;
  limit.Set(64 * kMiB, 0);
  const auto pool = Pool::Create({});  // 1 TiB of addresses
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_NE((*pool)->Allocate(32 * kMiB), nullptr);
  EXPECT_EQ((*pool)->Allocate(200 * kMiB), nullptr);
}

}  // namespace
}  // namespace stowage
