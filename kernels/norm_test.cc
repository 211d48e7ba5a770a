#include "kernels/norm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cast.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

// The order that norm.cc promises, written plainly.
NormResult PlainSumOfSquares(const float* values, int64_t numel) {
  NormResult result;
  for (int64_t begin = 0; begin < numel; begin += kNormChunkNumel) {
    double sums[16] = {};
    for (int64_t i = begin; i < std::min(numel, begin + kNormChunkNumel); ++i) {
      const double x = values[i];
      if (std::isfinite(values[i])) {
        sums[(i - begin) % 16] += x * x;
      } else {
        ++result.non_finite;
      }
    }
    for (int half = 8; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
    }
    result.sum_of_squares += sums[0];
  }
  return result;
}

TEST(SumOfSquaresTest, HasTheBitsOfThePlainLoopAtEveryWidthThreadCountAndAddress) {
  std::vector<int64_t> sizes = TestSizes();
  sizes.insert(sizes.end(), {kNormChunkNumel - 1, kNormChunkNumel, kNormChunkNumel + 1});
  for (int64_t numel : sizes) {
    const std::vector<float> values = TestValues(numel + 17, 3);
    for (int64_t offset : {0, 1, 2, 3, 7, 15, 16, 17}) {
      const NormResult expected = PlainSumOfSquares(values.data() + offset, numel);
      ForEachWidthAndThreadCount([&](const std::string& how) {
        const NormResult result = SumOfSquares(values.data() + offset, numel);
        EXPECT_TRUE(SameBits(&result.sum_of_squares, &expected.sum_of_squares, 1)) << how << ", offset " << offset;
        EXPECT_EQ(result.non_finite, 0);
      });
    }
  }
}

TEST(SumOfSquaresTest, ShardsOfWholeChunksAddUpToTheWholesBits) {
  const int64_t numel = 5 * kNormChunkNumel + 123;
  const std::vector<float> values = TestValues(numel, 3);
  double sum = 0.0;
  for (int64_t begin = 0; begin < numel; begin += kNormChunkNumel) {
    sum += SumOfSquares(values.data() + begin, std::min(kNormChunkNumel, numel - begin)).sum_of_squares;
  }
  const double whole = SumOfSquares(values.data(), numel).sum_of_squares;
  EXPECT_TRUE(SameBits(&sum, &whole, 1));
}

// Squares are exact in fp64; both sums have rounding errors of at most some 1e-13 here, in different orders.
TEST(SumOfSquaresTest, AgreesWithAtenInFp64) {
  std::vector<float> values = TestValues(4000037, 3);
  const at::Tensor tensor = at::from_blob(values.data(), {4000037}, at::kFloat).to(at::kDouble);
  const double expected = tensor.square().sum().item<double>();
  EXPECT_NEAR(SumOfSquares(values.data(), 4000037).sum_of_squares / expected, 1.0, 1e-12);
}

TEST(SumOfSquaresTest, NanAndInfinityAreCountedWhereverTheyLieAndLeftOutOfTheSum) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::signaling_NaN()};
  const int64_t numel = 2 * kNormChunkNumel + 21;
  std::vector<float> values = TestValues(numel, 3);
  int64_t planted = 0;
  for (int64_t at :
       {int64_t{0}, int64_t{17}, int64_t{100}, kNormChunkNumel - 1, kNormChunkNumel, numel - 6, numel - 1}) {
    values[at] = bad[planted++ % 5];
  }
  const NormResult expected = PlainSumOfSquares(values.data(), numel);
  ASSERT_EQ(expected.non_finite, planted);
  ForEachWidthAndThreadCount([&](const std::string& how) {
    const NormResult result = SumOfSquares(values.data(), numel);
    EXPECT_EQ(result.non_finite, planted) << how;
    EXPECT_TRUE(SameBits(&result.sum_of_squares, &expected.sum_of_squares, 1)) << how;
  });
  const std::vector<float> all_bad(1000, bad[2]);
  EXPECT_EQ(SumOfSquares(all_bad.data(), 1000).non_finite, 1000);
  EXPECT_EQ(SumOfSquares(all_bad.data(), 1000).sum_of_squares, 0.0);
}

TEST(SumOfSquaresTest, Bf16HasTheBitsOfTheSameValuesInFp32) {
  const int64_t numel = 2 * kNormChunkNumel + 21;
  std::vector<float> values = TestValues(numel, 3);
  std::vector<uint16_t> half(numel);
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (int i = 0; i < 3; ++i) values[i * kNormChunkNumel + 5] = bad[i];
  CastFp32ToBf16(values.data(), half.data(), numel);
  CastBf16ToFp32(half.data(), values.data(), numel);
  for (int64_t length : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{17}, numel - 3}) {
    for (int64_t offset : {0, 1, 3}) {
      const NormResult expected = PlainSumOfSquares(values.data() + offset, length);
      ForEachWidthAndThreadCount([&](const std::string& how) {
        const NormResult result = SumOfSquaresBf16(half.data() + offset, length);
        EXPECT_TRUE(SameBits(&result.sum_of_squares, &expected.sum_of_squares, 1)) << how << ", offset " << offset;
        EXPECT_EQ(result.non_finite, expected.non_finite) << how << ", offset " << offset;
      });
    }
  }
  EXPECT_EQ(SumOfSquaresBf16(half.data(), numel).non_finite, 3);
}

TEST(SumOfSquaresTest, LargestAndSmallestFp32NeitherOverflowNorVanish) {
  const float largest = std::numeric_limits<float>::max();
  const float smallest = std::numeric_limits<float>::denorm_min();
  const std::vector<float> values = {largest, smallest};
  EXPECT_EQ(SumOfSquares(values.data(), 1).sum_of_squares, static_cast<double>(largest) * largest);
  EXPECT_EQ(SumOfSquares(values.data() + 1, 1).sum_of_squares, static_cast<double>(smallest) * smallest);
}

}  // namespace
}  // namespace stowage::kernels
