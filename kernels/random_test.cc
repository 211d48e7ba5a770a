#include "kernels/random.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

using Words = std::array<uint32_t, 4>;

Words PlainPhilox(Words c, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

// Random123's own test vectors (kat_vectors: philox4x32 10).
TEST(PlainPhiloxTest, ReferenceGivesThePublishedVectors) {
  EXPECT_EQ(PlainPhilox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(PlainPhilox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(PlainPhilox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

uint32_t PlainWord(uint64_t key, int64_t index, uint32_t stream) {
  const uint64_t counter = index / 4;
  return PlainPhilox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream, 0},
                     {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)})[index % 4];
}

// In fp64 with libm.
double PlainNormal(uint64_t key, int64_t index) {
  const int64_t pair = index / 2 * 2;
  const double u = (PlainWord(key, pair, 0) + 0.5) / 4294967296.0;
  const double angle = 6.283185307179586 * (PlainWord(key, pair + 1, 0) / 4294967296.0);
  return std::sqrt(-2.0 * std::log(u)) * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

constexpr uint64_t kKey = 0x123456789abcdef0;

std::vector<float> Normals(int64_t numel, uint64_t key, int64_t first_index, float mean = 0.0f, float stddev = 1.0f) {
  std::vector<float> out(numel + 1, -42.0f);
  FillNormal(out.data(), numel, key, first_index, mean, stddev);
  EXPECT_EQ(out.back(), -42.0f) << "wrote past the end";
  out.pop_back();
  return out;
}

// fp32 rounds the uniform itself: near u = 1 by 6e-8, which moves a small radius sqrt(2 (1 - u)) by up to 3e-4 (where
// it is 0 at the extreme), and any other by 6e-8 / radius. So the tolerance is 1e-6 plus 1e-7 / radius.
TEST(FillNormalTest, IsBoxMullerOfPhiloxAcrossThe32BitCounter) {
  for (int64_t first : {int64_t{0}, int64_t{4} * ((int64_t{1} << 32) - 20), int64_t{1} << 50}) {
    const std::vector<float> values = Normals(4000, kKey, first);
    for (int64_t i = 0; i < 4000; ++i) {
      const double expected = PlainNormal(kKey, first + i);
      const int64_t pair = (first + i) / 2 * 2;
      const double radius = std::hypot(PlainNormal(kKey, pair), PlainNormal(kKey, pair + 1));
      ASSERT_NEAR(values[i], expected, 1e-6 + 1e-7 / radius) << "index " << first + i;
    }
  }
}

TEST(FillNormalTest, AnyPartHasTheBitsOfTheWholeAtEveryWidthAndThreadCount) {
  constexpr int64_t kNumel = 70001;
  const std::vector<float> whole = Normals(kNumel, kKey, 5, 0.5f, 0.02f);
  ForEachWidthAndThreadCount([&](const std::string& how) {
    const std::vector<float> again = Normals(kNumel, kKey, 5, 0.5f, 0.02f);
    EXPECT_TRUE(SameBits(again.data(), whole.data(), kNumel)) << how;
    for (int64_t offset = 0; offset <= 17; ++offset) {
      for (int64_t numel : {0, 1, 2, 7, 15, 16, 17, 33, 69984}) {
        const std::vector<float> part = Normals(numel, kKey, 5 + offset, 0.5f, 0.02f);
        ASSERT_TRUE(SameBits(part.data(), whole.data() + offset, numel)) << how << ", offset " << offset;
      }
    }
  });
}

TEST(FillNormalTest, HasTheMomentsAndTailsOfANormal) {
  constexpr int64_t kNumel = 4000000;
  const std::vector<float> values = Normals(kNumel, kKey, 0);
  double sum = 0, squares = 0, cubes = 0, fourths = 0, neighbours = 0;
  int64_t beyond[6] = {};
  for (int64_t i = 0; i < kNumel; ++i) {
    const double x = values[i];
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
    if (i > 0) neighbours += x * values[i - 1];
    for (int k = 0; k < 6; ++k) beyond[k] += std::abs(x) > k;
  }
  // Five standard deviations of each estimate: those of x, x^2, x^3, x^4 and x y are 1, sqrt(2), sqrt(15), sqrt(96), 1.
  const double five = 5 / std::sqrt(static_cast<double>(kNumel));
  EXPECT_NEAR(sum / kNumel, 0.0, five);
  EXPECT_NEAR(squares / kNumel, 1.0, five * std::sqrt(2.0));
  EXPECT_NEAR(cubes / kNumel, 0.0, five * std::sqrt(15.0));
  EXPECT_NEAR(fourths / kNumel, 3.0, five * std::sqrt(96.0));
  EXPECT_NEAR(neighbours / kNumel, 0.0, five);
  for (int k = 1; k < 5; ++k) {
    const double p = std::erfc(k / std::sqrt(2.0));
    EXPECT_NEAR(beyond[k], kNumel * p, 5 * std::sqrt(kNumel * p)) << "beyond " << k;
  }
}

TEST(FillNormalTest, MeanAndDeviationAreAppliedAndKeysDiffer) {
  const std::vector<float> standard = Normals(1000, kKey, 0);
  const std::vector<float> scaled = Normals(1000, kKey, 0, 3.0f, 0.5f);
  const std::vector<float> other = Normals(1000, kKey + 1, 0);
  const std::vector<float> other_high = Normals(1000, kKey + (uint64_t{1} << 32), 0);
  int same = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(scaled[i], standard[i] * 0.5f + 3.0f);
    same += (standard[i] == other[i]) + (standard[i] == other_high[i]) + (other[i] == other_high[i]);
  }
  EXPECT_EQ(same, 0);
  for (float value : Normals(100, kKey, 0, 7.0f, 0.0f)) EXPECT_EQ(value, 7.0f);
}

std::vector<float> Uniforms(int64_t numel, uint64_t key, int64_t first_index, float low = 0.0f, float high = 1.0f) {
  std::vector<float> out(numel + 1, -42.0f);
  FillUniform(out.data(), numel, key, first_index, low, high);
  EXPECT_EQ(out.back(), -42.0f) << "wrote past the end";
  out.pop_back();
  return out;
}

// The bits: 24 random ones as a fraction, then one product and one sum, each rounded to fp32.
TEST(FillUniformTest, HasTheBitsOfThePlainWordsAcrossThe32BitCounter) {
  for (int64_t first : {int64_t{0}, int64_t{4} * ((int64_t{1} << 32) - 20), int64_t{1} << 50}) {
    const std::vector<float> values = Uniforms(4000, kKey, first, -0.3f, 0.7f);
    std::vector<float> expected(4000);
    for (int64_t i = 0; i < 4000; ++i) {
      expected[i] = static_cast<float>(PlainWord(kKey, first + i, 2) >> 8) * 0x1p-24f * (0.7f - -0.3f) + -0.3f;
    }
    EXPECT_TRUE(SameBits(values.data(), expected.data(), 4000)) << "first index " << first;
  }
}

TEST(FillUniformTest, AnyPartHasTheBitsOfTheWholeAtEveryWidthAndThreadCount) {
  constexpr int64_t kNumel = 70001;
  const std::vector<float> whole = Uniforms(kNumel, kKey, 5, -0.02f, 0.05f);
  ForEachWidthAndThreadCount([&](const std::string& how) {
    const std::vector<float> again = Uniforms(kNumel, kKey, 5, -0.02f, 0.05f);
    EXPECT_TRUE(SameBits(again.data(), whole.data(), kNumel)) << how;
    for (int64_t offset = 0; offset <= 17; ++offset) {
      for (int64_t numel : {0, 1, 2, 7, 15, 16, 17, 33, 69984}) {
        const std::vector<float> part = Uniforms(numel, kKey, 5 + offset, -0.02f, 0.05f);
        ASSERT_TRUE(SameBits(part.data(), whole.data() + offset, numel)) << how << ", offset " << offset;
      }
    }
  });
}

TEST(FillUniformTest, HasTheMomentsOfAUniformAndStaysInItsRange) {
  constexpr int64_t kNumel = 4000000;
  const std::vector<float> values = Uniforms(kNumel, kKey, 0);
  double sum = 0, squares = 0, neighbours = 0;
  int64_t bins[16] = {};
  for (int64_t i = 0; i < kNumel; ++i) {
    ASSERT_GE(values[i], 0.0f);
    ASSERT_LT(values[i], 1.0f);
    const double x = values[i] - 0.5;
    sum += x;
    squares += x * x;
    if (i > 0) neighbours += x * (values[i - 1] - 0.5);
    ++bins[static_cast<int>(values[i] * 16)];
  }
  // Five standard deviations of each estimate: those of x, x^2 and x y are sqrt(1/12), sqrt(1/180), 1/12.
  const double five = 5 / std::sqrt(static_cast<double>(kNumel));
  EXPECT_NEAR(sum / kNumel, 0.0, five * std::sqrt(1.0 / 12));
  EXPECT_NEAR(squares / kNumel, 1.0 / 12, five * std::sqrt(1.0 / 180));
  EXPECT_NEAR(neighbours / kNumel, 0.0, five / 12);
  for (int64_t bin : bins) EXPECT_NEAR(bin, kNumel / 16.0, 5 * std::sqrt(kNumel / 16.0 * 15 / 16));
}

TEST(FillUniformTest, BoundsAreAppliedAndStreamsAndKeysDiffer) {
  const std::vector<float> values = Uniforms(100000, kKey, 0, -3.0f, -1.0f);
  EXPECT_GE(*std::min_element(values.begin(), values.end()), -3.0f);
  EXPECT_LT(*std::max_element(values.begin(), values.end()), -1.0f);
  EXPECT_LT(*std::min_element(values.begin(), values.end()), -2.999f);
  EXPECT_GT(*std::max_element(values.begin(), values.end()), -1.001f);
  const std::vector<float> one = Uniforms(1000, kKey, 0), other = Uniforms(1000, kKey + 1, 0);
  int same = 0;
  for (int i = 0; i < 1000; ++i) {
    same += one[i] == other[i];
    same += PlainWord(kKey, i, 2) == PlainWord(kKey, i, 0) || PlainWord(kKey, i, 2) == PlainWord(kKey, i, 1);
  }
  EXPECT_LE(same, 1);  // 24 bits meet by chance once in 16,000 such tests
  for (float value : Uniforms(100, kKey, 0, 7.0f, 7.0f)) EXPECT_EQ(value, 7.0f);
}

TEST(DropoutTest, KeepsWhatThePlainWordsSayAtEveryWidthThreadCountAndOffset) {
  for (float p : {0.0f, 0.1f, 0.5f, 0.9f}) {
    const uint64_t threshold = std::llround(static_cast<double>(p) * 4294967296.0);
    const float scale = 1.0 / (1.0 - static_cast<double>(p));
    for (int64_t numel : {0, 1, 7, 15, 16, 17, 40003}) {
      const std::vector<float> in = TestValues(numel + 17, 4);
      for (int64_t first : {0, 1, 2, 3, 17}) {
        std::vector<float> expected(numel);
        for (int64_t i = 0; i < numel; ++i) {
          expected[i] = PlainWord(kKey, first + i, 1) >= threshold ? in[first + i] * scale : 0.0f;
        }
        ForEachWidthAndThreadCount([&](const std::string& how) {
          std::vector<float> out(numel + 1, 42.0f);
          Dropout(in.data() + first, out.data(), numel, kKey, p, first);
          EXPECT_TRUE(SameBits(out.data(), expected.data(), numel)) << how << ", p " << p << ", first " << first;
          EXPECT_EQ(out[numel], 42.0f) << "wrote past the end";
        });
      }
    }
  }
}

TEST(DropoutTest, InPlaceIsTheSame) {
  std::vector<float> values = TestValues(40003, 4);
  std::vector<float> out(values.size());
  Dropout(values.data(), out.data(), 40003, kKey, 0.3f);
  Dropout(values.data(), values.data(), 40003, kKey, 0.3f);
  EXPECT_TRUE(SameBits(values.data(), out.data(), 40003));
}

TEST(DropoutTest, RateIsPAndTheMeanIsKept) {
  constexpr int64_t kNumel = 4000000;
  const std::vector<float> ones(kNumel, 1.0f);
  std::vector<float> out(kNumel);
  for (float p : {0.1f, 0.5f}) {
    Dropout(ones.data(), out.data(), kNumel, kKey, p);
    const int64_t dropped = std::count(out.begin(), out.end(), 0.0f);
    EXPECT_NEAR(dropped, kNumel * p, 5 * std::sqrt(kNumel * p * (1 - p)));
    double sum = 0;
    for (float value : out) sum += value;
    EXPECT_NEAR(sum / kNumel, 1.0, 5 * std::sqrt(p / (1 - p) / kNumel));
  }
}

TEST(DropoutTest, ProbabilityOneDropsEverythingAndDroppedNanIsZero) {
  std::vector<float> values(1003, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> out(values.size(), 1.0f);
  Dropout(values.data(), out.data(), 1003, kKey, 1.0f);
  EXPECT_EQ(std::count(out.begin(), out.end(), 0.0f), 1003);
  Dropout(values.data(), out.data(), 1003, kKey, 0.5f);
  EXPECT_GT(std::count(out.begin(), out.end(), 0.0f), 400);
}

TEST(DropoutTest, UsesOtherNumbersThanTheNormalsOfTheSameKey) {
  int same = 0;
  for (int64_t i = 0; i < 1000; ++i) same += PlainWord(kKey, i, 0) == PlainWord(kKey, i, 1);
  EXPECT_EQ(same, 0);
}

}  // namespace
}  // namespace stowage::kernels
