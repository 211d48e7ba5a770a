#include "memory/budget/memory_limit.h"

#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(MemoryLimitTest, OverTheLimitFailsAndTakesNothing) {
  MemoryLimit limit("process", 2048 * kMiB);
  auto most = limit.Take(2047 * kMiB, "weights");
  ASSERT_TRUE(most.ok()) << most.status();
  const auto more = limit.Take(2 * kMiB, "batch");
  EXPECT_EQ(more.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(more.status().message(),
            "process: 2 MiB for batch do not fit: 2 GiB of 2 GiB are held, most by weights (2 GiB)");
  EXPECT_EQ(limit.held_bytes(), 2047 * kMiB);
  EXPECT_TRUE(limit.Take(1 * kMiB, "batch").ok());
}

TEST(MemoryLimitTest, RoomIsMadeBeforeARequestFails) {
  MemoryLimit limit("process", 2048 * kMiB);
  std::optional<MemoryLimit::Hold> cache = *limit.Take(10 * kMiB, "cache");
  const auto weights = limit.Take(2037 * kMiB, "weights");
  ASSERT_TRUE(weights.ok());
  EXPECT_FALSE(limit.Take(2 * kMiB, "batch").ok());
  int64_t asked = 0;
  limit.AddCleanup([&](int64_t bytes) {
    asked = bytes;
    cache.reset();
  });
  const auto batch = limit.Take(2 * kMiB, "batch");
  EXPECT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(asked, 1 * kMiB);
  EXPECT_EQ(limit.held_bytes(), 2039 * kMiB);
}

TEST(MemoryLimitTest, CleanupsRunInTheirOrderAndOnlyAsFarAsNeeded) {
  MemoryLimit limit("pool", 10);
  std::optional<MemoryLimit::Hold> first = *limit.Take(4, "first"), second = *limit.Take(6, "second");
  limit.AddCleanup([&](int64_t) { first.reset(); });
  limit.AddCleanup([&](int64_t) { second.reset(); });
  EXPECT_TRUE(limit.Take(3, "x").ok());
  EXPECT_FALSE(first.has_value());
  EXPECT_TRUE(second.has_value());
  // More than the limit itself: nothing is thrown away for it.
  EXPECT_FALSE(limit.Take(11, "x").ok());
  EXPECT_TRUE(second.has_value());
}

TEST(MemoryLimitTest, LimitsInsideEachOtherAllHoldAndTheTightestIsNamed) {
  MemoryLimit process("process", 100);
  MemoryLimit context("context", 60, &process);
  MemoryLimit pool("pool of stashes", 50, &context);
  MemoryLimit other("other", 100, &process);
  const auto a = pool.Take(40, "a");
  ASSERT_TRUE(a.ok());
  const auto b = other.Take(50, "b");
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(process.held_bytes(), 90);
  const auto over_pool = pool.Take(11, "c");
  EXPECT_EQ(over_pool.status().message().substr(0, 16), "pool of stashes:");
  const auto over_process = context.Take(11, "c");
  EXPECT_EQ(over_process.status().message(),
            "process: 11 B for c do not fit: 90 B of 100 B are held, most by b (50 B), a (40 B)");
  // No partial state: what was taken further in on the way is back.
  EXPECT_EQ(context.held_bytes(), 40);
  EXPECT_EQ(pool.held_bytes(), 40);
  EXPECT_EQ(process.held_bytes(), 90);
}

TEST(MemoryLimitTest, HoldsGiveBackOnce) {
  MemoryLimit limit("x", 10);
  {
    MemoryLimit::Hold hold = *limit.Take(7, "a");
    MemoryLimit::Hold moved = std::move(hold);
    hold.Release();
    EXPECT_EQ(limit.held_bytes(), 7);
    moved = *limit.Take(2, "b");
    EXPECT_EQ(limit.held_bytes(), 2);
  }
  EXPECT_EQ(limit.held_bytes(), 0);
  EXPECT_EQ(limit.Take(-1, "a").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
