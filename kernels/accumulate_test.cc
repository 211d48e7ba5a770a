#include "kernels/accumulate.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

template <typename T>
std::vector<T> Make(int64_t numel, uint64_t seed) {
  std::vector<T> values(numel);
  const std::vector<float> source = TestValues(numel, seed);
  for (int64_t i = 0; i < numel; ++i) values[i] = static_cast<T>(source[i] * 1000);
  return values;
}

template <typename T>
void ExpectPlainSums(DType dtype) {
  for (int parts = 1; parts <= 4; ++parts) {
    for (int64_t numel : TestSizes()) {
      const int64_t offset = parts % 2;  // odd addresses too
      std::vector<std::vector<T>> values;
      std::vector<const void*> pointers;
      for (int k = 0; k < parts; ++k) values.push_back(Make<T>(numel + offset, 50 + k));
      for (int k = 0; k < parts; ++k) pointers.push_back(values[k].data() + offset);
      std::vector<T> expected(numel);
      for (int64_t i = 0; i < numel; ++i) {
        T sum = values[0][i + offset];
        for (int k = 1; k < parts; ++k) sum += values[k][i + offset];
        expected[i] = sum;
      }
      ForEachWidthAndThreadCount([&](const std::string& how) {
        std::vector<T> out(numel + 1, T{42});
        SumInOrder(pointers, out.data(), numel, dtype);
        EXPECT_TRUE(SameBits(out.data(), expected.data(), numel)) << how << ", parts " << parts;
        EXPECT_EQ(out[numel], T{42}) << "wrote past the end";
      });
      // Into the last part, which is read too.
      SumInOrder(pointers, values.back().data() + offset, numel, dtype);
      EXPECT_TRUE(SameBits<T>(values.back().data() + offset, expected.data(), numel)) << "in place, parts " << parts;
    }
  }
}

TEST(SumInOrderTest, HasTheBitsOfThePlainLoopInFp32) { ExpectPlainSums<float>(DType::kFloat32); }
TEST(SumInOrderTest, HasTheBitsOfThePlainLoopInFp64) { ExpectPlainSums<double>(DType::kFloat64); }
TEST(SumInOrderTest, HasTheBitsOfThePlainLoopInInt64) { ExpectPlainSums<int64_t>(DType::kInt64); }

TEST(SumInOrderTest, OrderOfPartsIsKept) {
  // (1e8 - 1e8) + 1 = 1, but (1 - 1e8) + 1e8 = 0 in fp32.
  const float big = 1e8f, minus_big = -1e8f, one = 1.0f;
  float out = -1.0f;
  SumInOrder({&big, &minus_big, &one}, &out, 1, DType::kFloat32);
  EXPECT_EQ(out, 1.0f);
  SumInOrder({&one, &minus_big, &big}, &out, 1, DType::kFloat32);
  EXPECT_EQ(out, 0.0f);
}

std::vector<uint16_t> ToBFloat16(std::vector<float> values) {
  std::vector<uint16_t> out(values.size());
  const at::Tensor tensor =
      at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kFloat).to(at::kBFloat16);
  if (!out.empty()) std::memcpy(out.data(), tensor.data_ptr(), out.size() * sizeof(uint16_t));
  return out;
}

// ATen's fp32 sums of the widened parts, narrowed once by ATen.
TEST(SumInOrderTest, BFloat16IsSummedInFp32AndRoundedOnceAsAtenRounds) {
  for (int64_t numel : TestSizes()) {
    std::vector<std::vector<uint16_t>> parts;
    std::vector<const void*> pointers;
    std::vector<float> sums(numel);
    for (int k = 0; k < 3; ++k) {
      parts.push_back(ToBFloat16(TestValues(numel, 70 + k)));
      for (int64_t i = 0; i < numel; ++i) {
        const uint32_t bits = static_cast<uint32_t>(parts[k][i]) << 16;
        float value;
        std::memcpy(&value, &bits, sizeof(value));
        sums[i] = k == 0 ? value : sums[i] + value;
      }
    }
    for (const auto& part : parts) pointers.push_back(part.data());
    const std::vector<uint16_t> expected = ToBFloat16(sums);
    ForEachWidthAndThreadCount([&](const std::string& how) {
      std::vector<uint16_t> out(numel);
      SumInOrder(pointers, out.data(), numel, DType::kBFloat16);
      EXPECT_TRUE(SameBits(out.data(), expected.data(), numel)) << how;
    });
    SumInOrder(pointers, parts[1].data(), numel, DType::kBFloat16);
    EXPECT_TRUE(SameBits(parts[1].data(), expected.data(), numel)) << "in place";
  }
}

TEST(SumInOrderTest, BFloat16KeepsNanAndInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<uint16_t> a = ToBFloat16({infinity, infinity, 1.0f, 3.38e38f, std::nanf("")});
  const std::vector<uint16_t> b = ToBFloat16({1.0f, -infinity, -infinity, 3.38e38f, 1.0f});
  uint16_t out[5];
  SumInOrder({a.data(), b.data()}, out, 5, DType::kBFloat16);
  EXPECT_EQ(out[0], 0x7f80);  // infinity
  EXPECT_EQ(out[1], 0x7fc0);  // infinity - infinity
  EXPECT_EQ(out[2], 0xff80);  // -infinity
  EXPECT_EQ(out[3], 0x7f80);  // overflow
  EXPECT_EQ(out[4], 0x7fc0);
}

TEST(SumInOrderTest, HasTheBitsOfThePlainLoopInInt32) { ExpectPlainSums<int32_t>(DType::kInt32); }

template <typename T>
void ExpectPlainReductions(DType dtype) {
  constexpr int kParts = 3;
  for (const Reduction op : {Reduction::kMin, Reduction::kMax, Reduction::kMean}) {
    if (op == Reduction::kMean && std::is_integral_v<T>) continue;
    for (int64_t numel : TestSizes()) {
      std::vector<std::vector<T>> values;
      std::vector<const void*> pointers;
      for (int k = 0; k < kParts; ++k) values.push_back(Make<T>(numel, 90 + k));
      for (const auto& part : values) pointers.push_back(part.data());
      // fp16 is computed in fp32 and rounded once.
      using Wide = std::conditional_t<sizeof(T) == 2, float, T>;
      std::vector<T> expected(numel);
      for (int64_t i = 0; i < numel; ++i) {
        const Wide a = values[0][i], b = values[1][i], c = values[2][i];
        const Wide result = op == Reduction::kMin   ? std::min(std::min(a, b), c)
                            : op == Reduction::kMax ? std::max(std::max(a, b), c)
                                                    : (a + b + c) / static_cast<Wide>(kParts);
        expected[i] = static_cast<T>(result);
      }
      ForEachWidthAndThreadCount([&](const std::string& how) {
        std::vector<T> out(numel);
        ReduceInOrder(op, pointers, out.data(), numel, dtype);
        using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, T>;  // gtest does not print _Float16
        EXPECT_TRUE(SameBits(reinterpret_cast<const Bits*>(out.data()), reinterpret_cast<const Bits*>(expected.data()),
                             numel))
            << how << ", " << ReductionName(op);
      });
    }
  }
}

TEST(ReduceInOrderTest, HasTheBitsOfThePlainLoop) {
  ExpectPlainReductions<float>(DType::kFloat32);
  ExpectPlainReductions<double>(DType::kFloat64);
  ExpectPlainReductions<int32_t>(DType::kInt32);
  ExpectPlainReductions<int64_t>(DType::kInt64);
  ExpectPlainReductions<_Float16>(DType::kFloat16);
}

TEST(ReduceInOrderTest, LeastAndMostKeepNanWhereverItStands) {
  const float nan = std::nanf("");
  // Seventeen: vectors and their rest.
  std::vector<float> a(17, 1.0f), b(17, 2.0f), out(17);
  a[3] = a[16] = nan;
  b[5] = nan;
  for (const Reduction op : {Reduction::kMin, Reduction::kMax}) {
    ReduceInOrder(op, {a.data(), b.data()}, out.data(), 17, DType::kFloat32);
    for (int i = 0; i < 17; ++i) {
      EXPECT_EQ(std::isnan(out[i]), i == 3 || i == 5 || i == 16) << i;
    }
    EXPECT_EQ(out[0], op == Reduction::kMin ? 1.0f : 2.0f);
  }
}

TEST(SumInOrderDeathTest, TypeThatCannotBeSummedIsABug) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const uint8_t byte = 1;
  uint8_t out;
  EXPECT_DEATH(SumInOrder({&byte}, &out, 1, DType::kUInt8), "ReduceInOrder of U8");
}

}  // namespace
}  // namespace stowage::kernels
