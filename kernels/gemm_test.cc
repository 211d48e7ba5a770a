#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/hash.h"

namespace stowage::kernels {
namespace {

std::vector<float> Random(int64_t numel, uint64_t key) {
  std::vector<float> values(numel);
  for (int64_t i = 0; i < numel; ++i) values[i] = static_cast<float>(Mix64(key + i) >> 40) * 0x1p-23f - 1.0f;
  return values;
}

struct Shape {
  int64_t m, n, k;
};

class GemmTest : public testing::TestWithParam<Shape> {};

// Tolerance: k products of numbers below 1 are summed in fp32 in an unknown order; the error of such a sum stays
// below k * 2^-24 times the sum of absolute products, which is below k.
TEST_P(GemmTest, MatchesTheTextbookInEveryTransposition) {
  const auto [m, n, k] = GetParam();
  const std::vector<float> a = Random(m * k, 1), b = Random(k * n, 1000003), before = Random(m * (n + 3), 77);
  for (const Transpose ta : {Transpose::kNo, Transpose::kYes}) {
    for (const Transpose tb : {Transpose::kNo, Transpose::kYes}) {
      for (const float beta : {0.0f, 1.0f}) {
        const int64_t lda = ta == Transpose::kYes ? m : k, ldb = tb == Transpose::kYes ? k : n, ldc = n + 3;
        std::vector<float> c = before;
        if (beta == 0.0f) {  // what was there must not matter
          for (int64_t i = 0; i < m; ++i) std::fill_n(c.begin() + i * ldc, n, std::nanf(""));
        }
        Gemm(ta, tb, m, n, k, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double sum = beta == 0.0f ? 0.0 : before[i * ldc + j];
            for (int64_t l = 0; l < k; ++l) {
              sum += static_cast<double>(ta == Transpose::kYes ? a[l * lda + i] : a[i * lda + l]) *
                     (tb == Transpose::kYes ? b[j * ldb + l] : b[l * ldb + j]);
            }
            ASSERT_NEAR(c[i * ldc + j], sum, 6e-8 * static_cast<double>(k) * static_cast<double>(k) / 8 + 2e-7);
          }
          for (int64_t j = n; j < ldc; ++j) ASSERT_EQ(c[i * ldc + j], before[i * ldc + j]) << "beyond the row";
        }
      }
    }
  }
}

TEST_P(GemmTest, TwiceGivesTheSameBits) {
  const auto [m, n, k] = GetParam();
  const std::vector<float> a = Random(m * k, 1), b = Random(k * n, 2);
  std::vector<float> c(m * n), d(m * n);
  Gemm(Transpose::kNo, Transpose::kNo, m, n, k, a.data(), k, b.data(), n, 0.0f, c.data(), n);
  Gemm(Transpose::kNo, Transpose::kNo, m, n, k, a.data(), k, b.data(), n, 0.0f, d.data(), n);
  EXPECT_EQ(c, d);
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmTest,
                         testing::Values(Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{16, 48, 32}, Shape{33, 17, 129},
                                         Shape{128, 65, 200}));

TEST(GemmTest, EmptyProductsAreZeros) {
  std::vector<float> c = {std::nanf(""), 2.0f};
  Gemm(Transpose::kNo, Transpose::kNo, 1, 2, 0, nullptr, 1, nullptr, 2, 0.0f, c.data(), 2);
  EXPECT_EQ(c, (std::vector<float>{0.0f, 0.0f}));
  Gemm(Transpose::kNo, Transpose::kNo, 0, 2, 3, nullptr, 3, nullptr, 2, 0.0f, c.data(), 2);
}

}  // namespace
}  // namespace stowage::kernels
