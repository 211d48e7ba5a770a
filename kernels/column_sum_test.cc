#include "kernels/column_sum.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace stowage::kernels {
namespace {

// Some bf16 number of either sign, by index.
uint16_t Bits(int64_t i) {
  const float value = std::sin(static_cast<float>(i) * 0.7f) * 3.0f;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

double Value(uint16_t bits) {
  const uint32_t word = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &word, sizeof(value));
  return value;
}

std::vector<uint16_t> Matrix(int64_t rows, int64_t columns) {
  std::vector<uint16_t> matrix(rows * columns);
  for (size_t i = 0; i < matrix.size(); ++i) matrix[i] = Bits(static_cast<int64_t>(i));
  return matrix;
}

// Tolerance: terms are at most 3, and an fp32 sum of n of them in blocks of 64 is off by at most about
// (64 + n / 64) half units in the last place of a partial sum, which is at most 3 n.
TEST(ColumnSumTest, IsTheSumInDoubleToRounding) {
  for (int64_t rows : {1, 3, 64, 65, 1000}) {
    for (int64_t columns : {1, 7, 16, 257, 768}) {
      const std::vector<uint16_t> from = Matrix(rows, columns);
      std::vector<float> to(columns, 99.0f);
      ColumnSumBf16(from.data(), rows, columns, /*accumulate=*/false, to.data());
      const double bound = (64.0 + static_cast<double>(rows) / 64.0) * 3.0 * static_cast<double>(rows) * 6e-8;
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0.0;
        for (int64_t i = 0; i < rows; ++i) sum += Value(from[i * columns + j]);
        ASSERT_NEAR(to[j], sum, bound) << rows << " x " << columns << ", column " << j;
      }
    }
  }
}

TEST(ColumnSumTest, AccumulatingAddsToWhatIsThere) {
  const std::vector<uint16_t> from = Matrix(100, 40);
  std::vector<float> once(40), twice(40, 0.0f);
  ColumnSumBf16(from.data(), 100, 40, false, once.data());
  ColumnSumBf16(from.data(), 100, 40, false, twice.data());
  ColumnSumBf16(from.data(), 100, 40, true, twice.data());
  for (int j = 0; j < 40; ++j) EXPECT_EQ(twice[j], 2 * once[j]);
}

TEST(ColumnSumTest, NoRowsGiveZeros) {
  std::vector<float> to(5, 99.0f);
  ColumnSumBf16(nullptr, 0, 5, false, to.data());
  EXPECT_EQ(to, std::vector<float>(5, 0.0f));
}

TEST(ColumnSumTest, AnyNumberOfThreadsGivesTheSameBits) {
  const std::vector<uint16_t> from = Matrix(500, 1030);
  std::vector<float> one(1030), many(1030);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  ColumnSumBf16(from.data(), 500, 1030, false, one.data());
  at::set_num_threads(5);
  ColumnSumBf16(from.data(), 500, 1030, false, many.data());
  at::set_num_threads(before);
  EXPECT_EQ(one, many);
}

}  // namespace
}  // namespace stowage::kernels
