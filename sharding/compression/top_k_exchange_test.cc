#include "sharding/compression/top_k_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "kernels/accumulate.h"
#include "sharding/in_process_test_util.h"

namespace stowage {
namespace {

constexpr int64_t kShard = 5000;

std::vector<float> GradientsOf(int rank, int64_t numel) {
  std::vector<float> values(numel);
  for (int64_t i = 0; i < numel; ++i) {
    const uint64_t bits = HashKey({static_cast<uint64_t>(rank + 1), static_cast<uint64_t>(i)});
    values[i] = static_cast<float>(static_cast<int64_t>(bits >> 40) - (1 << 23)) * 0x1p-23f;
  }
  return values;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What every rank has after an exchange.
struct After {
  std::vector<float> sum, left;
  int64_t bytes_sent = 0;
};

std::vector<After> Exchange(int world_size, double keep, bool to_all) {
  std::vector<After> after(world_size);
  RunRanks(world_size, [&](Communicator& communicator) {
    After& mine = after[communicator.rank()];
    const TopKExchange exchange(kShard, world_size, keep, to_all);
    std::vector<uint32_t> picks(exchange.picks_words()), received(exchange.received_words());
    mine.left = GradientsOf(communicator.rank(), kShard * world_size);
    exchange.Pick(mine.left.data(), picks.data());
    exchange.Clear(picks.data(), mine.left.data());
    EXPECT_TRUE(exchange.Start(communicator, picks.data(), received.data()).Wait().ok());
    mine.sum.resize(to_all ? kShard * world_size : kShard);
    exchange.Sum(received.data(), mine.sum.data());
    mine.bytes_sent = communicator.bytes_sent();
  });
  return after;
}

std::vector<float> DenseSum(int world_size) {
  std::vector<std::vector<float>> all;
  std::vector<const void*> parts;
  for (int rank = 0; rank < world_size; ++rank) all.push_back(GradientsOf(rank, kShard * world_size));
  for (const std::vector<float>& one : all) parts.push_back(one.data());
  std::vector<float> sum(kShard * world_size);
  kernels::SumInOrder(parts, sum.data(), kShard * world_size, DType::kFloat32);
  return sum;
}

std::vector<float> ShardOf(const std::vector<float>& whole, int rank) {
  return {whole.begin() + rank * kShard, whole.begin() + (rank + 1) * kShard};
}

class TopKExchangeTest : public testing::TestWithParam<int> {};

TEST_P(TopKExchangeTest, OfEverythingTheSumHasTheBitsOfTheDenseOne) {
  const int world_size = GetParam();
  const std::vector<float> dense = DenseSum(world_size);
  const std::vector<After> all = Exchange(world_size, 1.0, /*to_all=*/true);
  const std::vector<After> own = Exchange(world_size, 1.0, /*to_all=*/false);
  for (int rank = 0; rank < world_size; ++rank) {
    EXPECT_TRUE(SameBits(all[rank].sum, dense)) << "rank " << rank;
    EXPECT_TRUE(SameBits(own[rank].sum, ShardOf(dense, rank))) << "rank " << rank;
    for (float left : own[rank].left) ASSERT_TRUE(left == 0.0f && std::signbit(left)) << "something stayed behind";
  }
}

TEST_P(TopKExchangeTest, OwnersGetTheBitsOfWhatAllGet) {
  const int world_size = GetParam();
  const std::vector<After> all = Exchange(world_size, 0.01, /*to_all=*/true);
  const std::vector<After> own = Exchange(world_size, 0.01, /*to_all=*/false);
  for (int rank = 0; rank < world_size; ++rank) {
    EXPECT_TRUE(SameBits(all[rank].sum, all[0].sum)) << "rank " << rank;
    EXPECT_TRUE(SameBits(own[rank].sum, ShardOf(all[0].sum, rank))) << "rank " << rank;
  }
}

TEST_P(TopKExchangeTest, WhatIsSentAndWhatStaysAreTheGradient) {
  const int world_size = GetParam();
  std::vector<double> sent(kShard * world_size, 0.0), expected(kShard * world_size, 0.0);
  const std::vector<After> after = Exchange(world_size, 0.05, /*to_all=*/true);
  for (int rank = 0; rank < world_size; ++rank) {
    const std::vector<float> gradients = GradientsOf(rank, kShard * world_size);
    int64_t picked = 0;
    for (int64_t i = 0; i < kShard * world_size; ++i) {
      if (after[rank].left[i] == 0.0f) {
        ++picked;
        expected[i] += gradients[i];
      } else {
        ASSERT_EQ(after[rank].left[i], gradients[i]);
      }
    }
    EXPECT_EQ(picked, world_size * kShard / 20);
  }
  for (int64_t i = 0; i < kShard * world_size; ++i) ASSERT_NEAR(after[0].sum[i], expected[i], 1e-6);
}

TEST_P(TopKExchangeTest, OnePerCentCostsTwoPerCentOfTheDenseBytesForEachOfItsReaders) {
  const int world_size = GetParam();
  const int64_t dense_reduce_scatter = (world_size - 1) * kShard * 4;
  EXPECT_EQ(Exchange(world_size, 0.01, /*to_all=*/false)[0].bytes_sent, dense_reduce_scatter * 2 / 100);
  EXPECT_EQ(Exchange(world_size, 0.01, /*to_all=*/true)[0].bytes_sent, 2 * dense_reduce_scatter * world_size / 100);
}

INSTANTIATE_TEST_SUITE_P(Worlds, TopKExchangeTest, testing::Values(2, 3, 5),
                         [](const auto& info) { return absl::StrCat("World", info.param); });

TEST(TopKExchangeTest, WhatIsNotFiniteOnOneRankComesToTheOwner) {
  RunRanks(2, [&](Communicator& communicator) {
    const TopKExchange exchange(kShard, 2, 1e-9, /*to_all=*/false);
    EXPECT_EQ(exchange.k(), 1) << "at least one";
    std::vector<float> gradients = GradientsOf(communicator.rank(), 2 * kShard);
    if (communicator.rank() == 0) gradients[kShard + 17] = std::numeric_limits<float>::quiet_NaN();
    std::vector<uint32_t> picks(exchange.picks_words()), received(exchange.received_words());
    exchange.Pick(gradients.data(), picks.data());
    EXPECT_TRUE(exchange.Start(communicator, picks.data(), received.data()).Wait().ok());
    std::vector<float> sum(kShard);
    exchange.Sum(received.data(), sum.data());
    const bool owner = communicator.rank() == 1;
    EXPECT_EQ(std::any_of(sum.begin(), sum.end(), [](float v) { return std::isnan(v); }), owner);
  });
}

TEST(TopKExchangeTest, AShardWhosePlacesDoNotFitIsRefused) {
  EXPECT_TRUE(CheckTopKShard((int64_t{1} << 32) - 1).ok());
  EXPECT_EQ(CheckTopKShard(int64_t{1} << 32).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
