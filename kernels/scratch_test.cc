#include "kernels/scratch.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/gemm.h"

namespace stowage::kernels {
namespace {

int taken = 0;
int live = 0;
bool refuse = false;

ScratchFunctions Counted() {
  return {[](size_t bytes) -> void* {
            if (refuse) throw std::runtime_error("no scratch");
            ++taken;
            ++live;
            return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
          },
          [](void* block) {
            --live;
            std::free(block);
          }};
}

TEST(ScratchTest, BlocksAreAlignedAndComeFromTheFunctionsThatWereSet) {
  { EXPECT_EQ(Scratch(0).data(), nullptr); }
  {
    const Scratch before(100);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(before.data()) % 64, 0);
    // What was taken before goes back to where it came from.
    SetScratchFunctions(Counted());
  }
  EXPECT_EQ(live, 0);
  {
    const Scratch block(100);
    EXPECT_EQ(live, 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.data()) % 64, 0);
  }
  EXPECT_EQ(live, 0);
}

TEST(ScratchTest, Bf16ProductsTakeTheirsThereAndLetARefusalThrough) {
  SetScratchFunctions(Counted());
  // A deep sum into bf16, which oneDNN keeps in fp32 first.
  constexpr int64_t kSize = 128, kDepth = 512;
  const std::vector<uint16_t> a(kSize * kDepth, 0x3f80), b(kDepth * kSize, 0x3f80);  // ones
  std::vector<uint16_t> c(kSize * kSize, 0);
  const auto multiply = [&] {
    GemmBf16(Transpose::kNo, Transpose::kNo, kSize, kSize, kDepth, a.data(), kDepth, b.data(), kSize, 0.0f, c.data(),
             kSize, DType::kBFloat16);
  };
  taken = 0;
  multiply();
  ASSERT_GT(taken, 0) << "oneDNN took no scratch for this product";
  EXPECT_EQ(live, 0);
  EXPECT_EQ(c[0], 0x4400);  // 512
  refuse = true;
  EXPECT_THROW(multiply(), std::runtime_error);
  refuse = false;
  EXPECT_EQ(live, 0);
  multiply();
  EXPECT_EQ(c[kSize * kSize - 1], 0x4400);
}

}  // namespace
}  // namespace stowage::kernels
