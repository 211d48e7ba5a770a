#include "kernels/top_k.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "base/hash.h"
#include "gtest/gtest.h"
#include "kernels/accumulate.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

uint32_t MagnitudeBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits & 0x7fffffffu;
}

// The definition: sort all by magnitude, first come first, and take k; in the order of places.
std::vector<uint32_t> PlainTopK(const float* values, int64_t numel, int64_t k) {
  std::vector<uint32_t> order(numel);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return MagnitudeBits(values[a]) > MagnitudeBits(values[b]); });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

struct Picked {
  std::vector<uint32_t> places;
  std::vector<float> values;
};

Picked Pick(const float* values, int64_t numel, int64_t k) {
  Picked picked{std::vector<uint32_t>(k + 1, 42), std::vector<float>(k + 1, 42.0f)};
  TopK(values, numel, k, picked.places.data(), picked.values.data());
  EXPECT_EQ(picked.places[k], 42u) << "wrote past the end";
  EXPECT_EQ(picked.values[k], 42.0f) << "wrote past the end";
  picked.places.resize(k);
  picked.values.resize(k);
  return picked;
}

void ExpectPlain(const std::vector<float>& values, int64_t k) {
  const std::vector<uint32_t> expected = PlainTopK(values.data(), values.size(), k);
  ForEachWidthAndThreadCount([&](const std::string& how) {
    const Picked picked = Pick(values.data(), values.size(), k);
    EXPECT_EQ(picked.places, expected) << how << ", k " << k << " of " << values.size();
    for (int64_t j = 0; j < k; ++j) {
      ASSERT_EQ(std::memcmp(&picked.values[j], &values[expected[j]], sizeof(float)), 0) << how << ", pick " << j;
    }
  });
}

TEST(TopKTest, IsTheDefinitionForEverySizeAndCount) {
  for (int64_t numel : {1, 7, 15, 16, 17, 100003}) {
    const std::vector<float> values = TestValues(numel, 5);
    for (int64_t k : {int64_t{0}, int64_t{1}, numel / 100, numel / 3, numel - 1, numel}) ExpectPlain(values, k);
  }
}

TEST(TopKTest, OfEqualMagnitudesTheFirstAreTaken) {
  std::vector<float> values(1000, 0.5f);
  for (size_t i = 0; i < values.size(); i += 3) values[i] = -0.5f;
  values[700] = 2.0f;
  ExpectPlain(values, 10);
  EXPECT_EQ(Pick(values.data(), 1000, 3).places, (std::vector<uint32_t>{0, 1, 700}));
  ExpectPlain(std::vector<float>(777, 0.0f), 50);
}

TEST(TopKTest, ValuesThatDifferInTheirLastBitsOnlyAreToldApart) {
  // 2048 and more in one digit of the first count, and of the second.
  std::vector<float> values;
  for (int64_t i = 0; i < 5000; ++i) {
    const uint32_t bits = 0x3f800000u + static_cast<uint32_t>(HashKey({3, static_cast<uint64_t>(i)}) % 3000);
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    values.push_back(i % 2 == 0 ? value : -value);
  }
  for (int64_t k : {1, 49, 2500, 4999}) ExpectPlain(values, k);
}

TEST(TopKTest, SubnormalsZerosAndBothSignsHaveTheirOrder) {
  std::vector<float> values = {0.0f, -0.0f, 1e-45f, -1e-40f, 1e-38f, 3e38f, -3.1e38f, 1.0f};
  for (int64_t k = 0; k <= 8; ++k) ExpectPlain(values, k);
}

TEST(TopKTest, WhatIsNotFiniteIsAlwaysAmongThePicks) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> values = TestValues(5000, 7);
    values[10] = std::numeric_limits<float>::max();
    values[3210] = bad;
    EXPECT_EQ(Pick(values.data(), 5000, 1).places, std::vector<uint32_t>{3210});
    ExpectPlain(values, 2);
  }
}

TEST(TopKTest, PicksWhatAtensTopKPicks) {
  constexpr int64_t kNumel = 300001;
  std::vector<float> values = TestValues(kNumel, 11);
  const at::Tensor all = at::from_blob(values.data(), {kNumel}, at::kFloat);
  for (int64_t k : {1, 3000, 150000}) {
    const at::Tensor places = std::get<1>(at::topk(at::abs(all), k));
    std::set<int64_t> atens(places.data_ptr<int64_t>(), places.data_ptr<int64_t>() + k);
    const Picked ours = Pick(values.data(), kNumel, k);
    // Which of two equal ones at the edge ATen takes is its own affair: magnitudes are compared.
    std::multiset<uint32_t> a, b;
    for (int64_t place : atens) a.insert(MagnitudeBits(values[place]));
    for (float value : ours.values) b.insert(MagnitudeBits(value));
    EXPECT_EQ(a, b) << k;
  }
}

TEST(ClearPlacesTest, WhatIsLeftAddsToAnythingWithoutChangingItsBits) {
  std::vector<float> values = {1.0f, -2.0f, 3.0f, 4.0f};
  const std::vector<uint32_t> places = {1, 2};
  ClearPlaces(places.data(), 2, values.data());
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[3], 4.0f);
  for (float other : {0.0f, -0.0f, 1e-45f, 7.0f}) {
    const float sum = values[1] + other;
    EXPECT_EQ(std::memcmp(&sum, &other, sizeof(sum)), 0) << other;
  }
}

std::vector<Picks> AsPicks(const std::vector<Picked>& all) {
  std::vector<Picks> picks;
  for (const Picked& one : all) picks.push_back({one.places.data(), one.values.data()});
  return picks;
}

TEST(SumPicksTest, IsThePlainSumInOrder) {
  for (int64_t numel : {1, 17, 4095, 4096, 4097, 20011}) {
    for (int parts = 1; parts <= 4; ++parts) {
      const int64_t k = (numel + 9) / 10;
      std::vector<Picked> all;
      std::vector<float> expected(numel, -0.0f);
      for (int r = 0; r < parts; ++r) {
        const std::vector<float> values = TestValues(numel, 20 + r);
        all.push_back(Pick(values.data(), numel, k));
        for (int64_t j = 0; j < k; ++j) expected[all[r].places[j]] += all[r].values[j];
      }
      std::vector<float> out(numel + 1, 42.0f);
      SumPicks(AsPicks(all), k, out.data(), numel);
      EXPECT_TRUE(SameBits(out.data(), expected.data(), numel)) << numel << ", parts " << parts;
      EXPECT_EQ(out[numel], 42.0f) << "wrote past the end";
    }
  }
}

TEST(SumPicksTest, OfAllElementsItHasTheBitsOfTheDenseSum) {
  constexpr int64_t kNumel = 10007;
  std::vector<std::vector<float>> values;
  std::vector<Picked> all;
  std::vector<const void*> dense;
  for (int r = 0; r < 3; ++r) {
    values.push_back(TestValues(kNumel, 30 + r));
    values[r][5] = -0.0f;  // the sum of which is -0
    values[r][6] = r == 0 ? -0.0f : 0.0f;
    values[r][7] = r == 0 ? std::numeric_limits<float>::infinity() : 1.0f;
  }
  for (int r = 0; r < 3; ++r) {
    all.push_back(Pick(values[r].data(), kNumel, kNumel));
    dense.push_back(values[r].data());
  }
  std::vector<float> expected(kNumel), out(kNumel);
  SumInOrder(dense, expected.data(), kNumel, DType::kFloat32);
  SumPicks(AsPicks(all), kNumel, out.data(), kNumel);
  EXPECT_TRUE(SameBits(out.data(), expected.data(), kNumel));
}

TEST(SumPicksDeathTest, APlaceBeyondTheEndIsABugAndIsNotWritten) {
  const std::vector<uint32_t> places = {1, 100};
  const std::vector<float> values = {1.0f, 2.0f};
  std::vector<float> out(101, 42.0f);
  EXPECT_DEATH(SumPicks({Picks{places.data(), values.data()}}, 2, out.data(), 100), "pick 1 of part 0 lies at 100");
}

}  // namespace
}  // namespace stowage::kernels
