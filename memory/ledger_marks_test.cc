#include "memory/ledger_marks.h"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace stowage {
namespace {

int64_t Total(const Peaks& peaks) { return peaks.host().total; }

TEST(LedgerMarksTest, AStretchHasItsOwnPeakWhateverCameBeforeAndAfter) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  ledger.Allocate(Category::kParameters, 100);
  ledger.Allocate(Category::kWorkspace, 1000);
  ledger.Free(Category::kWorkspace, 1000);
  Peaks mark;
  {
    MarkScope scope(marks, &mark);
    ledger.Allocate(Category::kActivations, 50);
    ledger.Allocate(Category::kWorkspace, 7);
    ledger.Free(Category::kActivations, 50);
  }
  ledger.Allocate(Category::kWorkspace, 5000);
  EXPECT_EQ(Total(mark), 157);
  EXPECT_EQ(mark.host()[Category::kParameters], 100);
  EXPECT_EQ(mark.host()[Category::kActivations], 50);
  EXPECT_EQ(mark.host()[Category::kWorkspace], 7);
  EXPECT_EQ(mark.host()[Category::kData], 0);
  EXPECT_EQ(Total(marks.Overall()), 5107);
}

TEST(LedgerMarksTest, AStretchWithoutAllocationsHasWhatWasLive) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  ledger.Allocate(Category::kData, 10);
  ledger.Allocate(Category::kData, 20);
  ledger.Free(Category::kData, 20);
  Peaks mark;
  { MarkScope scope(marks, &mark); }
  EXPECT_EQ(Total(mark), 10);
}

TEST(LedgerMarksTest, StretchesThatNestAndOverlapKeepTheirOwn) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  const auto spike = [&](int64_t bytes) {
    ledger.Allocate(Category::kWorkspace, bytes);
    ledger.Free(Category::kWorkspace, bytes);
  };
  Peaks step, forward, backward, late;
  marks.Open(&step);
  spike(3);
  {
    MarkScope scope(marks, &forward);
    spike(10);
    marks.Open(&late);  // overlaps forward's end
  }
  spike(20);
  marks.Close(&late);
  {
    MarkScope scope(marks, &backward);
    spike(5);
  }
  EXPECT_EQ(Total(marks.Read(step)), 20);
  spike(30);
  EXPECT_EQ(Total(marks.Read(step)), 30) << "an open mark is read up to now";
  marks.Close(&step);
  spike(40);
  EXPECT_EQ(Total(forward), 10);
  EXPECT_EQ(Total(late), 20);
  EXPECT_EQ(Total(backward), 5);
  EXPECT_EQ(Total(step), 30);
  {
    MarkScope again(marks, &backward);
    spike(1);
  }
  EXPECT_EQ(Total(backward), 5) << "opened again, a mark keeps what it had";
}

TEST(LedgerMarksTest, PlacesHaveTheirOwnPeaksAndNoSum) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  Peaks mark;
  {
    MarkScope scope(marks, &mark);
    ledger.Allocate(Category::kOptimizer, 100, Place::kDisk);
    ledger.Allocate(Category::kOptimizer, 7);
    ledger.Free(Category::kOptimizer, 60, Place::kDisk);
  }
  EXPECT_EQ(mark[Place::kDisk].total, 100);
  EXPECT_EQ(mark[Place::kDisk][Category::kOptimizer], 100);
  EXPECT_EQ(mark.host().total, 7);
  EXPECT_EQ(mark[Place::kDevice].total, 0);
  EXPECT_EQ(ledger.total_live(Place::kDisk), 40);
  EXPECT_TRUE(ledger.used(Place::kDisk));
  EXPECT_FALSE(ledger.used(Place::kDevice));
}

TEST(LedgerMarksTest, SplittingTimeAtRandomLosesNoPeak) {
  std::mt19937 random(1);
  Ledger ledger;
  LedgerMarks marks(ledger);
  Peaks all;
  marks.Open(&all);
  int64_t live = 0, expected = 0;
  std::vector<int64_t> held;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0 || held.empty()) {
      held.push_back(random() % 1000);
      live += held.back();
      ledger.Allocate(Category::kWorkspace, held.back());
    } else {
      ledger.Free(Category::kWorkspace, held.back());
      live -= held.back();
      held.pop_back();
    }
    expected = std::max(expected, live);
    if (random() % 3 == 0) {
      Peaks part;
      MarkScope cut(marks, &part);
    }
  }
  marks.Close(&all);
  EXPECT_EQ(Total(all), expected);
  EXPECT_EQ(Total(marks.Overall()), expected);
}

// Two threads allocate as fast as they can, while a third cuts: no mark has less than its own thread held, nor more
// than both.
TEST(LedgerMarksTest, CutsOfOtherThreadsLeaveAMarkWithWhatItsOwnThreadHeld) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        Peaks mine;
        {
          MarkScope scope(marks, &mine);
          ledger.Allocate(Category::kActivations, 1000);
          ledger.Free(Category::kActivations, 1000);
        }
        ASSERT_GE(mine.host()[Category::kActivations], 1000);
        ASSERT_GE(Total(mine), 1000);
        ASSERT_LE(Total(mine), 2000);
      }
    });
  }
  std::thread cutter([&] {
    while (!stop.load(std::memory_order_relaxed)) marks.Overall();
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  cutter.join();
  EXPECT_EQ(ledger.total_live(), 0);
}

TEST(LedgerMarksDeathTest, ClosingWhatIsNotOpenIsABug) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Ledger ledger;
  LedgerMarks marks(ledger);
  Peaks mark;
  EXPECT_DEATH(marks.Close(&mark), "not open");
}

}  // namespace
}  // namespace stowage
