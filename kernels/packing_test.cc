#include "kernels/packing.h"

#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/dry.h"
#include "kernels/gemm.h"
#include "kernels/heap_holes.h"

namespace stowage::kernels {
namespace {

// What oneDNN 2.6.3 asked posix_memalign for on AVX-512 with two threads, once for the shared block and once a thread.
TEST(PackingTest, IsAtLeastWhatWasSeenAndLittleMore) {
  const int64_t seen = 2363392 + 2 * 609792;  // [4096, 384] x [384, 1536]
  EXPECT_GE(PackingBytes(4096, 1536, 384, 2), seen);
  EXPECT_LE(PackingBytes(4096, 1536, 384, 2), seen + (64 << 10));
}

TEST(PackingTest, IsBoundedForEachThreadCount) {
  EXPECT_LE(PackingBytes(1 << 20, 1 << 20, 1 << 20, 1), int64_t{17} << 20);
  EXPECT_LE(PackingBytes(1 << 20, 1 << 20, 1 << 20, 64), int64_t{220} << 20);
}

TEST(PackingTest, ADryProductIsNotedAsARealOne) {
  ResetLargestPackingBytes();
  EXPECT_EQ(LargestPackingBytes(), 0);
  {
    const DryScope dry;
    Gemm(Transpose::kNo, Transpose::kNo, 64, 64, 64, nullptr, 64, nullptr, 64, 0.0f, nullptr, 64);
  }
  const int64_t noted = LargestPackingBytes();
  EXPECT_GT(noted, 0);
  ResetLargestPackingBytes();
  std::vector<float> a(64 * 64), b(64 * 64), c(64 * 64);
  Gemm(Transpose::kNo, Transpose::kNo, 64, 64, 64, a.data(), 64, b.data(), 64, 0.0f, c.data(), 64);
  EXPECT_EQ(LargestPackingBytes(), noted);
}

// Blocks as a product takes them, one after the other, with small blocks in between that stay, as autograd's nodes do.
TEST(HeapHolesTest, TheHeapDoesNotGrowByABlockForEachProduct) {
  constexpr size_t kBlock = size_t{3} << 20;
  constexpr int kProducts = 20;
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as SetUpProcess does
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  std::vector<void*> nodes;
  const size_t before = mallinfo2().arena;
  for (int product = 0; product < kProducts; ++product) {
    KeepHeapHolesWhole();
    void* block = nullptr;
    ASSERT_EQ(posix_memalign(&block, 128, kBlock), 0);
    std::free(block);
    for (size_t bytes = 24; bytes < 400; bytes += 16) nodes.push_back(std::malloc(bytes));
  }
  EXPECT_LT(mallinfo2().arena - before, 4 * kBlock);
  for (void* node : nodes) std::free(node);
}

}  // namespace
}  // namespace stowage::kernels
