#include "kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/hash.h"
#include "kernels/cast.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kIgnored = -100;

struct Case {
  std::vector<float> logits;
  std::vector<int64_t> targets;
};

Case MakeCase(int64_t rows, int64_t classes, float spread) {
  Case c;
  for (int64_t i = 0; i < rows * classes; ++i) {
    c.logits.push_back(spread * (static_cast<float>(Mix64(i) >> 40) * 0x1p-24f - 0.5f));
  }
  for (int64_t r = 0; r < rows; ++r) c.targets.push_back(static_cast<int64_t>(Mix64(~r) % classes));
  return c;
}

// The textbook in fp64.
double Reference(const Case& c, int64_t rows, int64_t classes, std::vector<double>* gradient) {
  double loss = 0.0;
  gradient->assign(c.logits.size(), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    if (c.targets[r] == kIgnored) continue;
    const float* row = c.logits.data() + r * classes;
    double max = row[0], sum = 0.0;
    for (int64_t i = 0; i < classes; ++i) max = std::max<double>(max, row[i]);
    for (int64_t i = 0; i < classes; ++i) sum += std::exp(row[i] - max);
    loss += std::log(sum) + max - row[c.targets[r]];
    for (int64_t i = 0; i < classes; ++i) (*gradient)[r * classes + i] = std::exp(row[i] - max) / sum;
    (*gradient)[r * classes + c.targets[r]] -= 1.0;
  }
  return loss;
}

class CrossEntropyTest : public testing::TestWithParam<int64_t> {};

// Tolerance: a softmax term carries the relative error of one fp32 exp and one sum over the classes, below 1e-5; the
// summed loss, which is of the order of rows * log(classes), gets 1e-6 relative.
TEST_P(CrossEntropyTest, LossAndGradientMatchTheTextbook) {
  const int64_t rows = 9, classes = GetParam();
  for (float spread : {1.0f, 20.0f, 200.0f}) {
    Case c = MakeCase(rows, classes, spread);
    c.targets[3] = kIgnored;
    std::vector<double> gradient;
    const double expected = Reference(c, rows, classes, &gradient);
    const double loss = CrossEntropy(c.logits.data(), c.targets.data(), rows, classes, kIgnored, true);
    EXPECT_NEAR(loss, expected, 1e-6 * std::max(1.0, expected)) << spread;
    for (size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(c.logits[i], gradient[i], 1e-5) << i << " " << spread;
  }
}

TEST_P(CrossEntropyTest, WithoutGradientTheLossHasTheSameBitsAndLogitsStay) {
  const int64_t rows = 5, classes = GetParam();
  Case a = MakeCase(rows, classes, 4.0f), b = a;
  const double with = CrossEntropy(a.logits.data(), a.targets.data(), rows, classes, kIgnored, true);
  const Case before = b;
  EXPECT_EQ(CrossEntropy(b.logits.data(), b.targets.data(), rows, classes, kIgnored, false), with);
  EXPECT_EQ(b.logits, before.logits);
}

TEST_P(CrossEntropyTest, TheGradientInBf16IsTheRoundedOneWithTheSameLoss) {
  const int64_t rows = 5, classes = GetParam();
  Case a = MakeCase(rows, classes, 4.0f), b = a;
  a.targets[2] = b.targets[2] = kIgnored;
  const double loss = CrossEntropy(a.logits.data(), a.targets.data(), rows, classes, kIgnored, true);
  EXPECT_EQ(CrossEntropyBf16Gradient(b.logits.data(), b.targets.data(), rows, classes, kIgnored), loss);
  std::vector<uint16_t> rounded(a.logits.size());
  CastFp32ToBf16(a.logits.data(), rounded.data(), rows * classes);
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<uint16_t> row(classes);
    std::memcpy(row.data(), b.logits.data() + r * classes, classes * sizeof(uint16_t));
    EXPECT_EQ(row, std::vector<uint16_t>(rounded.begin() + r * classes, rounded.begin() + (r + 1) * classes)) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, CrossEntropyTest, testing::Values(1, 2, 7, 15, 16, 17, 256, 257, 5003));

TEST(CrossEntropyTest, LargeLogitsNeitherOverflowNorVanish) {
  std::vector<float> logits = {1e4f, 0.0f, -1e4f};
  const int64_t target = 1;
  EXPECT_DOUBLE_EQ(CrossEntropy(logits.data(), &target, 1, 3, kIgnored, true), 1e4);
  EXPECT_FLOAT_EQ(logits[0], 1.0f);
  EXPECT_FLOAT_EQ(logits[1], -1.0f);
}

TEST(CrossEntropyTest, ANaNShowsInTheLoss) {
  std::vector<float> logits = {0.0f, std::nanf(""), 0.0f};
  const int64_t target = 0;
  EXPECT_TRUE(std::isnan(CrossEntropy(logits.data(), &target, 1, 3, kIgnored, false)));
}

TEST(CrossEntropyTest, NoRowsHaveNoLoss) { EXPECT_EQ(CrossEntropy(nullptr, nullptr, 0, 7, kIgnored, true), 0.0); }

}  // namespace
}  // namespace stowage::kernels
