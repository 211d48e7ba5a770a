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
  constexpr int64_t kSize = 512;
  const std::vector<uint16_t> a(kSize * kSize, 0x3f80), b(kSize * kSize, 0x3f80);  // ones
  std::vector<float> c(kSize * kSize, 0.0f);
  const auto multiply = [&] {
    GemmBf16(Transpose::kYes, Transpose::kNo, kSize, kSize, kSize, a.data(), kSize, b.data(), kSize, 0.0f, c.data(),
             kSize, DType::kFloat32);
  };
  taken = 0;
  multiply();
  if (taken == 0) GTEST_SKIP() << "on this CPU oneDNN needs no scratch for it";
  EXPECT_EQ(live, 0);
  EXPECT_EQ(c[0], static_cast<float>(kSize));
  refuse = true;
  EXPECT_THROW(multiply(), std::runtime_error);
  refuse = false;
  EXPECT_EQ(live, 0);
  multiply();
  EXPECT_EQ(c[kSize * kSize - 1], static_cast<float>(kSize));
}

}  // namespace
}  // namespace stowage::kernels
