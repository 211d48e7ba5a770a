#include "memory/pool/page_heap.h"

#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kPage = static_cast<int64_t>(AddressRange::kPageBytes);

PageHeap MakeHeap(const PageHeap::Options& options, size_t bytes = size_t{1} << 34) {
  auto range = AddressRange::Reserve(bytes, size_t{2} << 20);
  EXPECT_TRUE(range.ok()) << range.status();
  return PageHeap(*std::move(range), options);
}

PageHeap::Options NoSlack() {
  PageHeap::Options options;
  options.slack_pages = 0;
  options.slack_share = 0.0;
  return options;
}

TEST(PageHeapTest, TakesTheSmallestRunThatFitsAndTheLowestOfEquals) {
  PageHeap heap = MakeHeap({});
  char* a = heap.Allocate(32);
  char* keep1 = heap.Allocate(1);
  char* b = heap.Allocate(16);
  char* keep2 = heap.Allocate(1);
  char* c = heap.Allocate(16);
  char* keep3 = heap.Allocate(1);
  heap.Free(a, 32);
  heap.Free(c, 16);
  heap.Free(b, 16);
  EXPECT_EQ(heap.Allocate(12), b);  // not the 32; the lower of the two 16s
  EXPECT_EQ(heap.Allocate(16), c);
  EXPECT_EQ(heap.Allocate(24), a);
  for (char* keep : {keep1, keep2, keep3}) heap.Free(keep, 1);
}

TEST(PageHeapTest, VeryShortAndLongRunsButTheLongestAreCutFromTheEndOfAFreeOne) {
  for (const auto& [hole, pages] :
       {std::pair<int64_t, int64_t>{20, PageHeap::kFewPages - 1}, std::pair<int64_t, int64_t>{20, PageHeap::kFewPages},
        std::pair<int64_t, int64_t>{5000, PageHeap::kHugeRunPages - 1},
        std::pair<int64_t, int64_t>{5000, PageHeap::kHugeRunPages},
        std::pair<int64_t, int64_t>{40000, PageHeap::kVastRunPages - 1},
        std::pair<int64_t, int64_t>{40000, PageHeap::kVastRunPages}}) {
    PageHeap heap = MakeHeap({});
    char* free = heap.Allocate(hole);
    char* wall = heap.Allocate(hole);
    heap.Free(free, hole);
    const bool end =
        pages < PageHeap::kFewPages || (pages >= PageHeap::kHugeRunPages && pages < PageHeap::kVastRunPages);
    char* run = heap.Allocate(pages);
    EXPECT_EQ(run, end ? wall - pages * kPage : free) << pages;
    char* rest = heap.Allocate(hole - pages);
    EXPECT_EQ(rest, end ? free : free + pages * kPage) << pages << ": the rest is free, and found";
    EXPECT_EQ(heap.GetStatistics().free_pages, 0);
    heap.Free(run, pages);
    heap.Free(rest, hole - pages);
    heap.Free(wall, hole);
    EXPECT_EQ(heap.GetStatistics().free_runs, 1);
  }
}

TEST(PageHeapTest, FreedNeighboursBecomeOneRun) {
  PageHeap heap = MakeHeap({});
  char* a = heap.Allocate(5);
  char* b = heap.Allocate(6);
  char* c = heap.Allocate(7);
  heap.Free(a, 5);
  heap.Free(c, 7);
  EXPECT_EQ(heap.GetStatistics().free_runs, 2);
  heap.Free(b, 6);
  EXPECT_EQ(heap.GetStatistics().free_runs, 1);
  EXPECT_EQ(heap.GetStatistics().largest_free_pages, 18);
  EXPECT_EQ(heap.Allocate(18), a);
}

TEST(PageHeapTest, ARunThatGrowsAtTheEndUsesWhatIsFreeBeforeIt) {
  PageHeap heap = MakeHeap({});
  char* a = heap.Allocate(4);
  char* b = heap.Allocate(4);
  heap.Free(b, 4);
  EXPECT_EQ(heap.Allocate(9), b);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 13);
  heap.Free(a, 4);
}

TEST(PageHeapTest, GrowthBeyondTheMostThatWasUsedGivesIdlePagesBackFirst) {
  PageHeap heap = MakeHeap(NoSlack());
  char* small[4];
  char* walls[4];
  for (int i = 0; i < 4; ++i) {
    small[i] = heap.Allocate(8);
    walls[i] = heap.Allocate(1);
  }
  for (char* run : small) heap.Free(run, 8);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 36);  // freeing alone gives nothing back
  char* large = heap.Allocate(20);                     // fits nowhere
  EXPECT_EQ(heap.GetStatistics().used_pages, 24);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 32);  // not more than 36, the most that was used; whole runs went
  EXPECT_EQ(heap.GetStatistics().discarded_pages, 24);
  heap.Trim(100);  // keeps the 8 idle ones, and forgets the 36
  char* more = heap.Allocate(30);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 54);
  heap.Free(more, 30);
  heap.Free(large, 20);
  for (char* wall : walls) heap.Free(wall, 1);
}

TEST(PageHeapTest, TheLimitHoldsForResidentPagesAndIdleOnesMakeRoom) {
  PageHeap::Options options;
  options.limit_pages = 100;
  PageHeap heap = MakeHeap(options);
  char* a = heap.Allocate(60);
  char* b = heap.Allocate(40);
  EXPECT_EQ(heap.Allocate(1), nullptr);
  heap.Free(a, 60);
  char* c = heap.Allocate(30);
  char* d = heap.Allocate(30);
  EXPECT_EQ(heap.Allocate(1), nullptr);
  heap.Free(c, 30);
  heap.Free(b, 40);
  EXPECT_NE(heap.Allocate(70), nullptr);
  EXPECT_LE(heap.GetStatistics().resident_pages, 100);
  heap.Free(d, 30);
}

TEST(PageHeapTest, RefusedRequestsTakeNothing) {
  PageHeap::Options options;
  options.limit_pages = 10;
  PageHeap heap = MakeHeap(options, size_t{4} << 20);
  EXPECT_EQ(heap.Allocate(11), nullptr);
  EXPECT_EQ(heap.Allocate(int64_t{1} << 50), nullptr);
  EXPECT_EQ(heap.GetStatistics().used_pages, 0);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 0);
  EXPECT_NE(heap.Allocate(10), nullptr);
}

TEST(PageHeapTest, TrimLeavesWhatIsAskedFor) {
  PageHeap heap = MakeHeap({});
  char* a = heap.Allocate(5000);
  char* wall = heap.Allocate(1);
  heap.Free(a, 5000);
  EXPECT_GE(heap.Trim(1000), 4000);
  EXPECT_LE(heap.GetStatistics().resident_pages - heap.GetStatistics().used_pages, 1000);
  heap.Trim(0);
  EXPECT_EQ(heap.GetStatistics().resident_pages, 1);
  heap.Free(wall, 1);
}

// Against a plain model: runs never overlap, keep their contents, and the books agree.
TEST(PageHeapTest, RandomTrafficKeepsContentsAndBooks) {
  PageHeap heap = MakeHeap(NoSlack());
  struct Run {
    char* data;
    int64_t pages;
    uint64_t mark;
  };
  std::vector<Run> runs;
  int64_t used = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const uint64_t random = HashKey({7, i});
    if (runs.empty() || random % 100 < 55) {
      const int64_t pages = 1 + static_cast<int64_t>(random >> 8) % ((random >> 40) % 10 == 0 ? 300 : 20);
      char* data = heap.Allocate(pages);
      ASSERT_NE(data, nullptr);
      for (int64_t p = 0; p < pages; ++p) std::memcpy(data + p * kPage, &random, sizeof(random));
      runs.push_back({data, pages, random});
      used += pages;
    } else {
      const size_t which = (random >> 16) % runs.size();
      const Run run = runs[which];
      for (int64_t p = 0; p < run.pages; ++p) {
        ASSERT_EQ(std::memcmp(run.data + p * kPage, &run.mark, sizeof(run.mark)), 0) << "page " << p;
      }
      heap.Free(run.data, run.pages);
      used -= run.pages;
      runs[which] = runs.back();
      runs.pop_back();
    }
    ASSERT_EQ(heap.GetStatistics().used_pages, used);
    ASSERT_GE(heap.GetStatistics().resident_pages, used);
  }
  for (const Run& run : runs) heap.Free(run.data, run.pages);
  EXPECT_EQ(heap.GetStatistics().used_pages, 0);
  EXPECT_EQ(heap.GetStatistics().free_runs, 2);  // one on either side
}

TEST(PageHeapTest, RunsThatAreNotLargeLeaveTheHolesOfLargeOnesAlone) {
  PageHeap heap = MakeHeap({});
  constexpr int64_t kLarge = PageHeap::kLargePages;
  char* a = heap.Allocate(kLarge);
  char* b = heap.Allocate(kLarge);
  heap.Free(a, kLarge);
  char* small = heap.Allocate(kLarge - 1);
  EXPECT_EQ(heap.Allocate(kLarge), a);
  heap.Free(small, kLarge - 1);
  EXPECT_EQ(heap.Allocate(PageHeap::kFewPages), small);
  heap.Free(b, kLarge);
}

// 32 MiB: the sides hold 28 and 4.
TEST(PageHeapTest, ASideThatIsFullTakesFromTheOther) {
  PageHeap heap = MakeHeap({}, size_t{32} << 20);
  std::vector<char*> runs;
  while (char* run = heap.Allocate(64)) runs.push_back(run);
  EXPECT_EQ(runs.size(), 128u);
  for (char* run : runs) heap.Free(run, 64);
  EXPECT_EQ(heap.GetStatistics().free_runs, 2);  // they do not merge across
  EXPECT_EQ(heap.GetStatistics().largest_free_pages, 28 * 256);
  EXPECT_NE(heap.Allocate(28 * 256), nullptr);
  EXPECT_NE(heap.Allocate(4 * 256), nullptr);
  EXPECT_EQ(heap.Allocate(1), nullptr);
}

TEST(PageHeapDeathTest, FreeingTwiceIsSeen) {
  PageHeap heap = MakeHeap({});
  char* a = heap.Allocate(4);
  char* b = heap.Allocate(4);
  heap.Free(a, 4);
  EXPECT_DEATH(heap.Free(a, 4), "freed twice");
  heap.Free(b, 4);
  EXPECT_DEATH(heap.Free(b, 4), "freed twice");
}

}  // namespace
}  // namespace stowage
