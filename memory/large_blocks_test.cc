#include "memory/large_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace stowage {
namespace {

constexpr size_t kBytes = 3 * LargeBlocks::kSmallestBytes + 4096;

TEST(LargeBlocksTest, AKeptBlockServesTheNextRequestOfItsSizeOnly) {
  LargeBlocks blocks;
  void* a = blocks.Take(kBytes);
  std::memset(a, 7, kBytes);
  blocks.Give(a, kBytes, /*keep=*/true);
  EXPECT_EQ(blocks.kept_bytes(), static_cast<int64_t>(kBytes));
  void* other = blocks.Take(kBytes + 4096);
  EXPECT_NE(other, a);
  EXPECT_EQ(blocks.Take(kBytes), a);
  EXPECT_EQ(blocks.kept_bytes(), 0);
  blocks.Give(a, kBytes, false);
  blocks.Give(other, kBytes + 4096, false);
}

TEST(LargeBlocksTest, WithoutKeepNothingIsHeld) {
  LargeBlocks blocks;
  blocks.Give(blocks.Take(kBytes), kBytes, /*keep=*/false);
  EXPECT_EQ(blocks.kept_bytes(), 0);
}

TEST(LargeBlocksTest, TrimGivesBackWhatIsKept) {
  LargeBlocks blocks;
  blocks.Give(blocks.Take(kBytes), kBytes, true);
  blocks.Trim();
  EXPECT_EQ(blocks.kept_bytes(), 0);
}

TEST(LargeBlocksTest, ARequestBeyondTheAddressSpaceGivesNull) {
  LargeBlocks blocks;
  EXPECT_EQ(blocks.Take(size_t{1} << 62), nullptr);
}

TEST(LargeBlocksTest, ManyThreadsEndWithNothingLost) {
  LargeBlocks blocks;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&blocks, t] {
      for (int i = 0; i < 200; ++i) {
        auto* block = static_cast<int*>(blocks.Take(kBytes));
        *block = t;
        std::this_thread::yield();
        EXPECT_EQ(*block, t);  // nobody else was given it
        blocks.Give(block, kBytes, true);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(blocks.kept_bytes(), static_cast<int64_t>(4 * kBytes));
}

}  // namespace
}  // namespace stowage
