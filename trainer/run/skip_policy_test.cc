#include "trainer/run/skip_policy.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

TEST(SkipPolicyTest, EndsWithSoManyInARow) {
  SkipPolicy policy(/*most_in_a_row=*/3, 0, 0);
  EXPECT_FALSE(policy.Skipped());
  EXPECT_FALSE(policy.Skipped());
  EXPECT_TRUE(policy.Skipped());
  EXPECT_EQ(policy.skipped(), 3);
  EXPECT_TRUE(SkipPolicy(1, 0, 0).Skipped());
}

TEST(SkipPolicyTest, AnUpdateBeginsTheRowAnewAndKeepsTheTotal) {
  SkipPolicy policy(/*most_in_a_row=*/2, 0, 0);
  for (int step = 0; step < 5; ++step) {
    EXPECT_FALSE(policy.Skipped());
    policy.Updated();
  }
  EXPECT_EQ(policy.skipped(), 5);
  EXPECT_EQ(policy.in_a_row(), 0);
}

TEST(SkipPolicyTest, GoesOnWhereASavedRunStood) {
  SkipPolicy policy(/*most_in_a_row=*/3, /*skipped=*/7, /*in_a_row=*/2);
  EXPECT_TRUE(policy.Skipped());
  EXPECT_EQ(policy.skipped(), 8);
}

}  // namespace
}  // namespace stowage
