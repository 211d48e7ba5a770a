#include "trainer/data/sampler.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

#include "base/hash.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

std::vector<int64_t> Permutation(uint64_t key, int64_t n) {
  std::vector<int64_t> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = PermutedIndex(key, n, i);
  return values;
}

class PermutedIndexTest : public testing::TestWithParam<int64_t> {};

TEST_P(PermutedIndexTest, HitsEachIndexOnceUnderEachKey) {
  const int64_t n = GetParam();
  std::vector<int64_t> all(n);
  std::iota(all.begin(), all.end(), 0);
  for (uint64_t key : {uint64_t{0}, uint64_t{1}, HashKey({7, 8}), ~uint64_t{0}}) {
    std::vector<int64_t> values = Permutation(key, n);
    std::sort(values.begin(), values.end());
    EXPECT_EQ(values, all) << "key " << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, PermutedIndexTest, testing::Values(1, 2, 3, 4, 5, 7, 16, 17, 1000, 65536, 65537));

// Stored runs and other programs depend on this very order (docs/data.md).
TEST(PermutedIndexStabilityTest, ValuesNeverChange) {
  EXPECT_EQ(Permutation(0, 10), (std::vector<int64_t>{4, 9, 7, 5, 1, 8, 3, 6, 2, 0}));
  EXPECT_EQ(Permutation(HashKey({1, 0x5a3d, 0}), 10), (std::vector<int64_t>{3, 5, 2, 1, 4, 8, 9, 0, 7, 6}));
  EXPECT_EQ(PermutedIndex(42, int64_t{1} << 40, 123456789), 551731661207);
}

TEST(PermutedIndexMixingTest, EveryIndexGoesEverywhereAboutEquallyOften) {
  constexpr int kN = 7, kKeys = 7000;
  int count[kN][kN] = {};
  for (uint64_t key = 0; key < kKeys; ++key) {
    for (int i = 0; i < kN; ++i) ++count[i][PermutedIndex(Mix64(key), kN, i)];
  }
  for (auto& row : count) {
    // 1000 expected; a binomial's deviation is 29, so 150 is five of them.
    for (int c : row) EXPECT_NEAR(c, kKeys / kN, 150);
  }
}

TEST(PermutedIndexMixingTest, LeavesFewNeighboursNeighbours) {
  const std::vector<int64_t> values = Permutation(HashKey({1, 0x5a3d, 0}), 10000);
  int neighbours = 0;
  for (size_t i = 1; i < values.size(); ++i) neighbours += std::abs(values[i] - values[i - 1]) == 1;
  EXPECT_LE(neighbours, 12);  // about 2 expected
}

TEST(SamplerTest, IsAPureFunctionOfSeedAndStep) {
  const Sampler a(1, 100, 16, false), b(1, 100, 16, false);
  std::vector<std::vector<SampleId>> forward, backward;
  for (int step = 0; step < 50; ++step) forward.push_back(a.GlobalBatch(step));
  for (int step = 49; step >= 0; --step) backward.insert(backward.begin(), b.GlobalBatch(step));
  EXPECT_EQ(forward, backward);
}

TEST(SamplerTest, SeedsAndEpochsGiveOtherOrders) {
  const auto first = Sampler(1, 1000, 1000, true).GlobalBatch(0);
  auto other_seed = Sampler(2, 1000, 1000, true).GlobalBatch(0);
  auto other_epoch = Sampler(1, 1000, 1000, true).GlobalBatch(1);
  EXPECT_NE(first, other_seed);
  for (SampleId& id : other_epoch) EXPECT_EQ(std::exchange(id.epoch, 0), 1);
  EXPECT_NE(first, other_epoch);
}

TEST(SamplerTest, OrderDoesNotDependOnTheBatchSize) {
  const Sampler small(3, 37, 5, false), large(3, 37, 20, false);
  std::vector<SampleId> joined;
  for (int step = 0; step < 4; ++step) {
    for (SampleId id : small.GlobalBatch(step)) joined.push_back(id);
  }
  EXPECT_EQ(joined, large.GlobalBatch(0));
}

TEST(SamplerTest, RunsOnOverTheEpochsEnd) {
  const Sampler sampler(1, 10, 4, false);
  std::vector<SampleId> all;
  for (int step = 0; step < 5; ++step) {
    const auto batch = sampler.GlobalBatch(step);
    EXPECT_EQ(batch.size(), 4);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::set<int64_t> seen;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(all[epoch * 10 + i].epoch, epoch);
      seen.insert(all[epoch * 10 + i].index);
    }
    EXPECT_EQ(seen.size(), 10);
  }
}

TEST(SamplerTest, OneBatchMayHoldSeveralEpochs) {
  const auto batch = Sampler(1, 3, 10, false).GlobalBatch(1);
  ASSERT_EQ(batch.size(), 10);
  EXPECT_EQ(batch.front().epoch, 3);  // samples 10 to 19 of epochs of 3
  EXPECT_EQ(batch.back().epoch, 6);
}

TEST(SamplerTest, FlushedEpochsEndWithWhatIsLeft) {
  const Sampler sampler(1, 10, 4, true);
  EXPECT_EQ(sampler.steps_per_epoch(), 3);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 3; ++i) {
      const auto batch = sampler.GlobalBatch(epoch * 3 + i);
      EXPECT_EQ(batch.size(), i == 2 ? 2 : 4);
      for (SampleId id : batch) {
        EXPECT_EQ(id.epoch, epoch);
        seen.insert(id.index);
      }
    }
    EXPECT_EQ(seen.size(), 10);
  }
}

TEST(SamplerTest, FlushedEpochThatDividesHasNoEmptyStep) {
  const Sampler sampler(1, 8, 4, true);
  EXPECT_EQ(sampler.steps_per_epoch(), 2);
  EXPECT_EQ(sampler.GlobalBatch(1).size(), 4);
  EXPECT_EQ(sampler.GlobalBatch(2)[0].epoch, 1);
}

TEST(SamplerTest, ThreadsMayShareIt) {
  const Sampler sampler(1, 1000, 64, false);
  std::vector<SampleId> results[4];
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = sampler.GlobalBatch(40); });
  for (std::thread& thread : threads) thread.join();
  for (auto& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace stowage
