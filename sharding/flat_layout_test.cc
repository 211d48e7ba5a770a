#include "sharding/flat_layout.h"

#include <vector>

#include "gtest/gtest.h"

namespace stowage {
namespace {

const std::vector<int64_t> kNumels = {1, 15, 16, 17, 1000, 0, 3};

class FlatLayoutTest : public testing::TestWithParam<int> {};

TEST_P(FlatLayoutTest, OffsetsDoNotDependOnWorldSize) {
  const FlatLayout one(kNumels, 1);
  const FlatLayout many(kNumels, GetParam());
  ASSERT_EQ(many.parameters(), static_cast<int>(kNumels.size()));
  for (int i = 0; i < many.parameters(); ++i) {
    EXPECT_EQ(many.offset(i), one.offset(i)) << i;
    EXPECT_EQ(many.numel(i), kNumels[i]) << i;
  }
}

TEST_P(FlatLayoutTest, ParametersAreAlignedDisjointAndInsideTheWhole) {
  const FlatLayout layout(kNumels, GetParam());
  int64_t end = 0;
  for (int i = 0; i < layout.parameters(); ++i) {
    EXPECT_EQ(layout.offset(i) % 16, 0) << i;
    EXPECT_GE(layout.offset(i), end) << i;
    end = layout.offset(i) + layout.numel(i);
  }
  EXPECT_LE(end, layout.whole_numel());
}

TEST_P(FlatLayoutTest, ShardsAreEqualAlignedAndPadLessThanOneBoundaryEach) {
  const FlatLayout layout(kNumels, GetParam());
  EXPECT_EQ(layout.whole_numel(), layout.shard_numel() * GetParam());
  EXPECT_EQ(layout.shard_numel() % 16, 0);
  EXPECT_LT(layout.whole_numel() - FlatLayout(kNumels, 1).whole_numel(), 16 * GetParam());
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, FlatLayoutTest, testing::Values(1, 2, 3, 8, 1024),
                         [](const auto& info) { return "World" + std::to_string(info.param); });

TEST(FlatLayoutTest, KnownOffsets) {
  const FlatLayout layout({1, 16, 17}, 2);
  EXPECT_EQ(layout.offset(0), 0);
  EXPECT_EQ(layout.offset(1), 16);
  EXPECT_EQ(layout.offset(2), 32);
  EXPECT_EQ(layout.shard_numel(), 32);
  EXPECT_EQ(layout.whole_numel(), 64);
}

TEST(FlatLayoutTest, EmptyGroupTakesNothing) { EXPECT_EQ(FlatLayout({}, 4).whole_numel(), 0); }

TEST(FlatLayoutTest, AlignmentCountsElements) {
  const FlatLayout layout({1, 1}, 1, 32);
  EXPECT_EQ(layout.offset(1), 32);
  EXPECT_EQ(layout.whole_numel(), 64);
}

}  // namespace
}  // namespace stowage
