#include "memory/memory_profiler.h"

#include <atomic>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "gtest/gtest.h"

namespace {
std::atomic<int64_t> news{0};
}  // namespace

// Counts what this test binary allocates.
void* operator new(size_t bytes) {
  news.fetch_add(1, std::memory_order_relaxed);
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
// Not inlined: gcc would warn that what `new` gave is freed by free().
__attribute__((noinline)) void operator delete(void* block) noexcept { std::free(block); }
__attribute__((noinline)) void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace stowage {
namespace {

TEST(MemoryProfilerTest, ABlocksPeakIsTheHandCountAndBlocksNest) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  ledger.Allocate(Category::kParameters, 1 << 20);
  MemoryProfiler profiler(marks, [] { return int64_t{16} << 20; });
  profiler.Snapshot("model made");
  {
    MemoryBlock forward(profiler, "forward");
    ledger.Allocate(Category::kActivations, 2 << 20);
    {
      MemoryBlock attention(profiler, "attention");
      ledger.Allocate(Category::kWorkspace, 4 << 20);
      ledger.Free(Category::kWorkspace, 4 << 20);
    }
    EXPECT_FALSE(profiler.entries()[1].end.has_value());
  }
  {
    MemoryBlock backward(profiler, "backward");
    ledger.Free(Category::kActivations, 2 << 20);
  }
  const auto& entries = profiler.entries();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].label, "model made");
  EXPECT_EQ(entries[0].start.live, 1 << 20);
  EXPECT_EQ(entries[0].start.reserved, 16 << 20);
  EXPECT_EQ(entries[0].start.peak, 1 << 20);
  EXPECT_FALSE(entries[0].block);
  EXPECT_EQ(entries[1].block_peak, 7 << 20);
  EXPECT_EQ(entries[1].end->live, 3 << 20);
  EXPECT_EQ(entries[2].depth, 1);
  EXPECT_EQ(entries[2].start.live, 3 << 20);
  EXPECT_EQ(entries[2].block_peak, 7 << 20);
  EXPECT_EQ(entries[3].depth, 0);
  EXPECT_EQ(entries[3].block_peak, 3 << 20) << "the peak before it is not its own";
  EXPECT_EQ(entries[3].end->live, 1 << 20);
  EXPECT_EQ(entries[3].start.peak, 7 << 20);
  EXPECT_GE(entries[3].start.seconds, entries[0].start.seconds);
  EXPECT_EQ(profiler.OverallPeak(), 7 << 20);

  const std::string summary = profiler.Summary();
  EXPECT_NE(summary.find("  1 "), std::string::npos) << summary;
  EXPECT_NE(summary.find("  forward: peak 7 MiB, left after "), std::string::npos) << summary;
  EXPECT_NE(summary.find("    attention: peak 7 MiB"), std::string::npos) << summary;
  EXPECT_NE(summary.find("peak in all 7 MiB\n"), std::string::npos) << summary;
}

TEST(MemoryProfilerTest, ABlockIsLeftByAnExceptionToo) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  MemoryProfiler profiler(marks);
  try {
    MemoryBlock outer(profiler, "outer");
    MemoryBlock inner(profiler, "inner");
    ledger.Allocate(Category::kData, 5);
    throw std::runtime_error("here");
  } catch (const std::runtime_error&) {
  }
  MemoryBlock after(profiler, "after");
  ASSERT_EQ(profiler.entries().size(), 3u);
  for (int i : {0, 1}) {
    ASSERT_TRUE(profiler.entries()[i].end.has_value()) << i;
    EXPECT_EQ(profiler.entries()[i].block_peak, 5) << i;
  }
  EXPECT_EQ(profiler.entries()[2].depth, 0);
  EXPECT_NE(profiler.Summary().find("after: not left yet"), std::string::npos);
}

TEST(MemoryProfilerTest, SwitchedOffItAllocatesNothing) {
  Ledger ledger;
  LedgerMarks marks(ledger);
  const auto measure = [&](bool on) {
    const int64_t before = news.load();
    MemoryProfiler profiler(marks, nullptr, on);
    for (int i = 0; i < 100; ++i) {
      MemoryBlock block(profiler, "a label that is longer than a short string may be");
      profiler.Snapshot("a label that is longer than a short string may be");
    }
    EXPECT_EQ(profiler.entries().size(), on ? 200u : 0u);
    return news.load() - before;
  };
  EXPECT_EQ(measure(false), 0);
  EXPECT_GE(measure(true), 200) << "the count counts";
}

}  // namespace
}  // namespace stowage
