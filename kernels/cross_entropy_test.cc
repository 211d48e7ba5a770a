#include "kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/hash.h"
#include "kernels/cast.h"
#include "kernels/test_util.h"

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

// More than one piece, more elements than the pieces' usual length allows, and a maximum that grows in every piece (so
// that what was summed is scaled) or is met at once. Tolerances as above.
TEST(CrossEntropyTest, RowsOfManyPiecesMatchTheTextbook) {
  constexpr int64_t kRows = 3;
  for (int64_t classes : {2049, 50257, 131073, 200003}) {
    Case c = MakeCase(kRows, classes, 10.0f);
    for (int64_t i = 0; i < classes; ++i) {
      const float ramp = 40.0f * static_cast<float>(i) / static_cast<float>(classes);
      c.logits[i] += ramp;
      c.logits[classes + i] -= ramp;
      if (i < 3000 && i != c.targets[2] && i + 1 < classes) c.logits[2 * classes + i] = -INFINITY;
    }
    Case loss_only = c;
    std::vector<double> gradient;
    const double expected = Reference(c, kRows, classes, &gradient);
    const double loss = CrossEntropy(c.logits.data(), c.targets.data(), kRows, classes, kIgnored, true);
    EXPECT_NEAR(loss, expected, 1e-6 * expected) << classes;
    for (size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(c.logits[i], gradient[i], 1e-5) << i << " " << classes;
    EXPECT_EQ(CrossEntropy(loss_only.logits.data(), c.targets.data(), kRows, classes, kIgnored, false), loss);
  }
}

// The textbook again, by every vector width; threads take whole rows, so that they change no bit.
TEST(CrossEntropyTest, EveryWidthMatchesTheTextbookAndThreadsChangeNothing) {
  constexpr int64_t kRows = 7, kClasses = 5003;
  const Case c = MakeCase(kRows, kClasses, 20.0f);
  std::vector<double> gradient;
  const double expected = Reference(c, kRows, kClasses, &gradient);
  std::vector<float> with_one_thread;
  int call = 0;
  ForEachWidthAndThreadCount([&](const std::string& how) {
    Case each = c;
    EXPECT_NEAR(CrossEntropy(each.logits.data(), each.targets.data(), kRows, kClasses, kIgnored, true), expected,
                1e-6 * expected)
        << how;
    for (size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(each.logits[i], gradient[i], 1e-5) << how << " " << i;
    if (call++ % 2 == 0) {
      with_one_thread = each.logits;
    } else {
      EXPECT_TRUE(SameBits(each.logits.data(), with_one_thread.data(), kRows * kClasses)) << how;
    }
  });
}

TEST(CrossEntropyTest, InfinityShowsInTheLossAndWhatIsImpossibleHasNoGradient) {
  const int64_t target = 1;
  std::vector<float> logits = {0.0f, 0.0f, INFINITY};
  EXPECT_FALSE(std::isfinite(CrossEntropy(logits.data(), &target, 1, 3, kIgnored, true)));
  logits = {-INFINITY, 0.0f, 0.0f};
  EXPECT_NEAR(CrossEntropy(logits.data(), &target, 1, 3, kIgnored, true), std::log(2.0), 1e-7);
  EXPECT_EQ(logits, (std::vector<float>{0.0f, -0.5f, 0.5f}));
}

TEST(CrossEntropyTest, LargeLogitsNeitherOverflowNorVanish) {
  std::vector<float> logits = {1e4f, 0.0f, -1e4f};
  const int64_t target = 1;
  EXPECT_DOUBLE_EQ(CrossEntropy(logits.data(), &target, 1, 3, kIgnored, true), 1e4);
  EXPECT_FLOAT_EQ(logits[0], 1.0f);
  EXPECT_FLOAT_EQ(logits[1], -1.0f);
}

TEST(CrossEntropyTest, ANaNShowsInTheLossWhereverItLies) {
  const int64_t target = 0;
  for (int64_t classes : {3, 5003}) {
    for (int64_t at : {int64_t{0}, int64_t{1}, classes / 2, classes - 1}) {
      std::vector<float> logits(classes, 0.0f);
      logits[at] = std::nanf("");
      EXPECT_TRUE(std::isnan(CrossEntropy(logits.data(), &target, 1, classes, kIgnored, false))) << at;
    }
  }
}

TEST(CrossEntropyTest, NoRowsHaveNoLoss) { EXPECT_EQ(CrossEntropy(nullptr, nullptr, 0, 7, kIgnored, true), 0.0); }

}  // namespace
}  // namespace stowage::kernels
