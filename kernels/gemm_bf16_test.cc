#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/cast.h"
#include "kernels/gemm.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

// Numbers in (-1, 1), as bf16 and as the fp32 that those are.
struct Values {
  Values(int64_t numel, uint64_t seed) : bf16(numel), fp32(TestValues(numel, seed)) {
    CastFp32ToBf16(fp32.data(), bf16.data(), numel);
    CastBf16ToFp32(bf16.data(), fp32.data(), numel);
  }
  std::vector<uint16_t> bf16;
  std::vector<float> fp32;
};

struct Shape {
  int64_t m, n, k;
};

class GemmBf16Test : public testing::TestWithParam<Shape> {};

// Rows of A, B and C lie 1, 2 and 3 elements further apart than they are long.
TEST_P(GemmBf16Test, MatchesTheTextbookInEveryTranspositionAndOutput) {
  const auto [m, n, k] = GetParam();
  for (const Transpose ta : {Transpose::kNo, Transpose::kYes}) {
    for (const Transpose tb : {Transpose::kNo, Transpose::kYes}) {
      const int64_t lda = (ta == Transpose::kYes ? m : k) + 1, ldb = (tb == Transpose::kYes ? k : n) + 2, ldc = n + 3;
      const Values a((ta == Transpose::kYes ? k : m) * lda, 1), b((tb == Transpose::kYes ? n : k) * ldb, 2);
      const std::vector<float> before = TestValues(m * ldc, 3);
      std::vector<float> replaced = before, added = before;
      std::vector<uint16_t> rounded(m * ldc, 0x7fc0);
      for (int64_t i = 0; i < m; ++i) std::fill_n(replaced.begin() + i * ldc, n, std::nanf(""));  // must not matter
      GemmBf16(ta, tb, m, n, k, a.bf16.data(), lda, b.bf16.data(), ldb, 0.0f, replaced.data(), ldc, DType::kFloat32);
      GemmBf16(ta, tb, m, n, k, a.bf16.data(), lda, b.bf16.data(), ldb, 1.0f, added.data(), ldc, DType::kFloat32);
      GemmBf16(ta, tb, m, n, k, a.bf16.data(), lda, b.bf16.data(), ldb, 0.0f, rounded.data(), ldc, DType::kBFloat16);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0.0, absolute = 0.0;
          for (int64_t l = 0; l < k; ++l) {
            const double product = static_cast<double>(a.fp32[ta == Transpose::kYes ? l * lda + i : i * lda + l]) *
                                   static_cast<double>(b.fp32[tb == Transpose::kYes ? j * ldb + l : l * ldb + j]);
            sum += product;
            absolute += std::abs(product);
          }
          // Products are exact in fp32; k sums, in an unknown order, are off by k * 2^-24 of the absolute sum at most.
          // bf16 adds half a last place: 2^-9 of the value.
          const double tolerance = 0x1p-24 * static_cast<double>(k) * (absolute + 1.0);
          const double earlier = before[i * ldc + j];
          ASSERT_NEAR(replaced[i * ldc + j], sum, tolerance) << i << " " << j;
          ASSERT_NEAR(added[i * ldc + j], sum + earlier, tolerance + 0x1p-24) << i << " " << j;
          ASSERT_NEAR(Bf16ToFp32(rounded[i * ldc + j]), sum, tolerance + 0x1p-8 * std::abs(sum)) << i << " " << j;
        }
        for (int64_t j = n; j < ldc; ++j) {
          ASSERT_EQ(replaced[i * ldc + j], before[i * ldc + j]) << "beyond the row";
          ASSERT_EQ(added[i * ldc + j], before[i * ldc + j]) << "beyond the row";
          ASSERT_EQ(rounded[i * ldc + j], 0x7fc0) << "beyond the row";
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmBf16Test,
                         testing::Values(Shape{1, 1, 1}, Shape{1, 40, 64}, Shape{40, 1, 64}, Shape{3, 5, 7},
                                         Shape{16, 48, 32}, Shape{33, 17, 129}, Shape{128, 65, 200}));

// The form of a weight's gradient, dy^T x added to fp32, and at a size where both threads have work.
struct WeightGradient {
  static constexpr int64_t kOut = 384, kIn = 200, kRows = 512;
  Values dy{kRows * kOut, 1}, x{kRows * kIn, 2};

  std::vector<float> Run() const {
    std::vector<float> c = TestValues(kOut * kIn, 3);
    GemmBf16(Transpose::kYes, Transpose::kNo, kOut, kIn, kRows, dy.bf16.data(), kOut, x.bf16.data(), kIn, 1.0f,
             c.data(), kIn, DType::kFloat32);
    return c;
  }
};

// ATen in fp32: both sum 512 products below 1 in fp32, off by 512 * 2^-24 of the absolute sum (some 128) at the very
// most, each.
TEST(GemmBf16Test, WeightGradientMatchesAten) {
  WeightGradient gradient;
  const std::vector<float> c = gradient.Run(), before = TestValues(gradient.kOut * gradient.kIn, 3);
  const at::Tensor dy = at::from_blob(gradient.dy.fp32.data(), {gradient.kRows, gradient.kOut}, at::kFloat);
  const at::Tensor x = at::from_blob(gradient.x.fp32.data(), {gradient.kRows, gradient.kIn}, at::kFloat);
  const at::Tensor expected = at::matmul(dy.t(), x);
  for (size_t i = 0; i < c.size(); ++i) {
    ASSERT_NEAR(c[i] - before[i], expected.const_data_ptr<float>()[i], 2e-3) << i;
  }
}

TEST(GemmBf16Test, TwiceGivesTheSameBitsAndOtherAddressesToo) {
  const Machine restore;
  for (int threads : {1, 2}) {
    at::set_num_threads(threads);
    WeightGradient gradient;
    const std::vector<float> c = gradient.Run();
    for (int i = 0; i < 3; ++i) {
      const std::vector<float> again = gradient.Run();
      EXPECT_TRUE(SameBits(again.data(), c.data(), c.size())) << "threads " << threads;
    }
    std::vector<uint16_t> moved(gradient.dy.bf16.size() + 1);
    std::copy(gradient.dy.bf16.begin(), gradient.dy.bf16.end(), moved.begin() + 1);
    std::vector<float> at_odd_address = TestValues(c.size(), 3);
    GemmBf16(Transpose::kYes, Transpose::kNo, gradient.kOut, gradient.kIn, gradient.kRows, moved.data() + 1,
             gradient.kOut, gradient.x.bf16.data(), gradient.kIn, 1.0f, at_odd_address.data(), gradient.kIn,
             DType::kFloat32);
    EXPECT_TRUE(SameBits(at_odd_address.data(), c.data(), c.size())) << "threads " << threads;
  }
}

// A primitive made for two threads would leave half of C out on one.
TEST(GemmBf16Test, InsideAParallelRegionItIsOneThreadsProduct) {
  const Machine restore;
  const WeightGradient gradient;
  at::set_num_threads(2);
  gradient.Run();
  std::vector<float> inside[2];
#pragma omp parallel num_threads(2)
  inside[omp_get_thread_num()] = gradient.Run();
  at::set_num_threads(1);
  const std::vector<float> alone = gradient.Run();
  for (const std::vector<float>& c : inside) EXPECT_TRUE(SameBits(c.data(), alone.data(), alone.size()));
}

TEST(GemmBf16Test, ThreadsOfTheirOwnMayCallItAtOnce) {
  const Machine restore;
  const WeightGradient gradient;
  at::set_num_threads(1);
  const std::vector<float> alone = gradient.Run();
  std::vector<float> results[4];
  std::vector<std::thread> threads;
  for (std::vector<float>& result : results) {
    threads.emplace_back([&] {
      omp_set_num_threads(1);
      result = gradient.Run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& c : results) EXPECT_TRUE(SameBits(c.data(), alone.data(), alone.size()));
}

TEST(GemmBf16Test, EmptyProductsAreZerosOrWhatWasThere) {
  std::vector<float> c = {std::nanf(""), 2.0f};
  GemmBf16(Transpose::kNo, Transpose::kNo, 1, 2, 0, nullptr, 1, nullptr, 2, 0.0f, c.data(), 2, DType::kFloat32);
  EXPECT_EQ(c, (std::vector<float>{0.0f, 0.0f}));
  c = {1.0f, 2.0f};
  GemmBf16(Transpose::kNo, Transpose::kNo, 1, 2, 0, nullptr, 1, nullptr, 2, 1.0f, c.data(), 2, DType::kFloat32);
  EXPECT_EQ(c, (std::vector<float>{1.0f, 2.0f}));
  std::vector<uint16_t> half = {7, 7, 7};
  GemmBf16(Transpose::kNo, Transpose::kNo, 1, 2, 0, nullptr, 1, nullptr, 2, 0.0f, half.data(), 2, DType::kBFloat16);
  EXPECT_EQ(half, (std::vector<uint16_t>{0, 0, 7}));
  GemmBf16(Transpose::kNo, Transpose::kNo, 0, 2, 3, nullptr, 3, nullptr, 2, 0.0f, nullptr, 2, DType::kFloat32);
}

TEST(GemmBf16DeathTest, AddingToBf16OrWithAnotherBetaIsABug) {
  const Values a(1, 1);
  std::vector<float> c(1);
  const auto multiply = [&](float beta, DType dtype) {
    GemmBf16(Transpose::kNo, Transpose::kNo, 1, 1, 1, a.bf16.data(), 1, a.bf16.data(), 1, beta, c.data(), 1, dtype);
  };
  EXPECT_DEATH(multiply(1.0f, DType::kBFloat16), "beta 1 into BF16");
  EXPECT_DEATH(multiply(0.5f, DType::kFloat32), "beta 0.5 into F32");
  EXPECT_DEATH(multiply(0.0f, DType::kFloat16), "into F16");
}

// On CPUs without bf16, oneDNN emulates (AVX-512) or has none (below), and blocks of fp32 are multiplied. A fresh
// process each, since oneDNN looks at the variable once.
class GemmBf16OnAnotherCpuDeathTest : public testing::TestWithParam<const char*> {};

TEST_P(GemmBf16OnAnotherCpuDeathTest, GivesTheSameProductWithinRounding) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // Beyond one block in each direction, the depth included, and none a multiple of it.
  constexpr int64_t kRows = 530, kColumns = 520, kDepth = 1100;
  const auto run = [&] {
    setenv("DNNL_MAX_CPU_ISA", GetParam(), 1);
    omp_set_num_threads(1);
    const Values a(kRows * kDepth, 1), b(kDepth * kColumns, 2);
    std::vector<float> expected(kRows * kColumns), c = TestValues(kRows * kColumns, 3);
    const std::vector<float> before = c;
    std::vector<uint16_t> rounded(kRows * kColumns);
    for (const bool transposed : {false, true}) {
      const Transpose t = transposed ? Transpose::kYes : Transpose::kNo;
      const int64_t lda = transposed ? kRows : kDepth, ldb = transposed ? kDepth : kColumns;
      c = before;
      Gemm(t, t, kRows, kColumns, kDepth, a.fp32.data(), lda, b.fp32.data(), ldb, 0.0f, expected.data(), kColumns);
      GemmBf16(t, t, kRows, kColumns, kDepth, a.bf16.data(), lda, b.bf16.data(), ldb, 1.0f, c.data(), kColumns,
               DType::kFloat32);
      GemmBf16(t, t, kRows, kColumns, kDepth, a.bf16.data(), lda, b.bf16.data(), ldb, 0.0f, rounded.data(), kColumns,
               DType::kBFloat16);
      for (size_t i = 0; i < c.size(); ++i) {
        // As in WeightGradientMatchesAten, with 1100 terms; bf16 rounds by up to 2^-9 of the value.
        EXPECT_NEAR(c[i] - before[i], expected[i], 5e-3);
        EXPECT_NEAR(Bf16ToFp32(rounded[i]), expected[i], 5e-3 + 0x1p-8 * std::abs(expected[i]));
      }
    }
    std::exit(testing::Test::HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Cpus, GemmBf16OnAnotherCpuDeathTest, testing::Values("SSE41", "AVX2", "AVX512_CORE"));

TEST(GemmFlopsTest, AreCountedByTheTypeOfTheInputs) {
  const Values a(30, 1), b(42, 2);
  std::vector<float> c(35);
  const GemmFlops before = CountedGemmFlops();
  GemmBf16(Transpose::kNo, Transpose::kNo, 5, 7, 6, a.bf16.data(), 6, b.bf16.data(), 7, 1.0f, c.data(), 7,
           DType::kFloat32);
  const GemmFlops between = CountedGemmFlops();
  Gemm(Transpose::kNo, Transpose::kNo, 5, 7, 6, a.fp32.data(), 6, b.fp32.data(), 7, 0.0f, c.data(), 7);
  Gemm(Transpose::kNo, Transpose::kNo, 5, 7, 0, a.fp32.data(), 1, b.fp32.data(), 7, 0.0f, c.data(), 7);
  const GemmFlops after = CountedGemmFlops();
  EXPECT_EQ(between.bf16 - before.bf16, 2 * 5 * 7 * 6);
  EXPECT_EQ(between.fp32 - before.fp32, 0);
  EXPECT_EQ(after.bf16 - between.bf16, 0);
  EXPECT_EQ(after.fp32 - between.fp32, 2 * 5 * 7 * 6);
}

}  // namespace
}  // namespace stowage::kernels
