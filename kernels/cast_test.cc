#include "kernels/cast.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

// Every exponent, both signs, NaN, infinity, subnormals and ties among them: bits spread over all of fp32's.
std::vector<float> AllKinds(int64_t numel) {
  std::vector<float> values(numel);
  for (int64_t i = 0; i < numel; ++i) {
    uint32_t bits = static_cast<uint32_t>(HashKey({static_cast<uint64_t>(i)}) >> 32);
    // A third end in a tie of bf16, a third in one of fp16's normals.
    if (i % 3 == 1) bits = (bits & 0xffff0000u) | 0x8000u;
    if (i % 3 == 2) bits = (bits & 0xffffe000u) | 0x1000u;
    if (i % 2 == 1) bits = (bits & 0x807fffffu) | ((100 + bits % 48) << 23);  // around fp16's range
    std::memcpy(&values[i], &bits, sizeof(bits));
  }
  const float special[] = {0.0f,
                           -0.0f,
                           INFINITY,
                           -INFINITY,
                           NAN,
                           std::numeric_limits<float>::signaling_NaN(),
                           65504.0f,
                           65519.9f,
                           65520.0f,
                           0x1p-24f,
                           0x1p-25f,
                           0x1.8p-25f,
                           std::numeric_limits<float>::max(),
                           std::numeric_limits<float>::denorm_min(),
                           0x1p-14f,
                           0x1.ffcp-15f};
  for (size_t i = 0; i < sizeof(special) / sizeof(float) && static_cast<int64_t>(i) < numel; ++i)
    values[i] = special[i];
  return values;
}

template <typename From, typename To>
using Cast = void (*)(const From*, To*, int64_t);

template <typename From, typename To>
void ExpectSameAtEveryWidthAddressAndLength(Cast<From, To> cast, const std::vector<From>& from,
                                            const std::vector<To>& expected) {
  constexpr To kUntouched = 42;
  const int64_t total = from.size();
  ForEachWidthAndThreadCount([&](const std::string& how) {
    for (int64_t offset : {0, 1, 3, 16}) {
      for (int64_t numel : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{16}, int64_t{33}, total - offset}) {
        std::vector<To> to(numel + offset + 1, kUntouched);
        cast(from.data() + offset, to.data() + offset, numel);
        EXPECT_TRUE(SameBits(to.data() + offset, expected.data() + offset, numel)) << how << ", offset " << offset;
        EXPECT_EQ(to.back(), kUntouched) << "wrote past the end";
      }
    }
  });
}

// Equal bits: nothing is left open by round to nearest even, and NaNs are compared as such.
template <typename To>
std::vector<To> AtenCast(const at::Tensor& tensor, at::ScalarType dtype) {
  const at::Tensor cast = tensor.to(dtype).contiguous();
  const To* data = static_cast<const To*>(cast.const_data_ptr());
  return std::vector<To>(data, data + cast.numel());
}

constexpr int64_t kNumel = 200003;  // more than one thread's grain

TEST(CastTest, Fp32ToBf16RoundsAsAtenDoes) {
  std::vector<float> values = AllKinds(kNumel);
  std::vector<uint16_t> expected =
      AtenCast<uint16_t>(at::from_blob(values.data(), {kNumel}, at::kFloat), at::kBFloat16);
  for (int64_t i = 0; i < kNumel; ++i) {
    if (std::isnan(values[i])) expected[i] = 0x7fc0;
  }
  ExpectSameAtEveryWidthAddressAndLength<float, uint16_t>(&CastFp32ToBf16, values, expected);
}

TEST(CastTest, Fp32ToFp16RoundsAsAtenDoes) {
  std::vector<float> values = AllKinds(kNumel);
  std::vector<uint16_t> expected = AtenCast<uint16_t>(at::from_blob(values.data(), {kNumel}, at::kFloat), at::kHalf);
  std::vector<uint16_t> actual(kNumel);
  CastFp32ToFp16(values.data(), actual.data(), kNumel);
  for (int64_t i = 0; i < kNumel; ++i) {
    if (!std::isnan(values[i])) continue;
    EXPECT_GT(actual[i] & 0x7fff, 0x7c00) << "a NaN";
    expected[i] = actual[i];  // which one is not promised, that it is the same everywhere is
  }
  ExpectSameAtEveryWidthAddressAndLength<float, uint16_t>(&CastFp32ToFp16, values, expected);
}

std::vector<uint16_t> AllHalves() {
  std::vector<uint16_t> halves(int64_t{65536} * 3 + 3);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  return halves;
}

TEST(CastTest, EveryBf16ComesBackExactly) {
  std::vector<uint16_t> halves = AllHalves();
  std::vector<float> expected(halves.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    std::memcpy(&expected[i], &bits, sizeof(bits));
  }
  ExpectSameAtEveryWidthAddressAndLength<uint16_t, float>(&CastBf16ToFp32, halves, expected);
  std::vector<uint16_t> back(halves.size());
  CastFp32ToBf16(expected.data(), back.data(), back.size());
  for (size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i], std::isnan(expected[i]) ? 0x7fc0 : halves[i]);
}

TEST(CastTest, EveryFp16BecomesTheFp32ThatAtenSays) {
  std::vector<uint16_t> halves = AllHalves();
  const int64_t numel = halves.size();
  std::vector<float> expected = AtenCast<float>(at::from_blob(halves.data(), {numel}, at::kHalf), at::kFloat);
  std::vector<float> actual(numel);
  CastFp16ToFp32(halves.data(), actual.data(), numel);
  for (int64_t i = 0; i < numel; ++i) {
    if (!std::isnan(expected[i])) continue;
    EXPECT_TRUE(std::isnan(actual[i])) << halves[i];
    expected[i] = actual[i];
  }
  ExpectSameAtEveryWidthAddressAndLength<uint16_t, float>(&CastFp16ToFp32, halves, expected);
}

}  // namespace
}  // namespace stowage::kernels
