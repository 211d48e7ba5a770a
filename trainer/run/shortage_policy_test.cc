#include "trainer/run/shortage_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace stowage {
namespace {

using Next = ShortagePolicy::Next;

TEST(ShortagePolicyTest, HalvesRoundedUpUntilOneThenRepeatsOnceThenEnds) {
  ShortagePolicy policy(/*micro_batch=*/11, /*fixed=*/false);
  for (int64_t expected : std::vector<int64_t>{6, 3, 2, 1}) {
    EXPECT_EQ(policy.Voided(), Next::kRepeatSmaller);
    EXPECT_EQ(policy.micro_batch(), expected);
  }
  EXPECT_EQ(policy.Voided(), Next::kRepeatAsItWas);
  EXPECT_EQ(policy.Voided(), Next::kSaveAndEnd);
  EXPECT_EQ(policy.micro_batch(), 1);
  EXPECT_EQ(policy.voided(), 6);
}

TEST(ShortagePolicyTest, AFixedMicroBatchIsNotChanged) {
  ShortagePolicy policy(/*micro_batch=*/8, /*fixed=*/true);
  EXPECT_EQ(policy.Voided(), Next::kRepeatAsItWas);
  EXPECT_EQ(policy.Voided(), Next::kSaveAndEnd);
  EXPECT_EQ(policy.micro_batch(), 8);
}

TEST(ShortagePolicyTest, ASmallerMicroBatchStaysAndEachStepHasItsOwnRepetition) {
  ShortagePolicy policy(/*micro_batch=*/2, /*fixed=*/false);
  EXPECT_EQ(policy.Voided(), Next::kRepeatSmaller);
  policy.Made();
  EXPECT_EQ(policy.micro_batch(), 1);
  for (int step = 0; step < 3; ++step) {
    EXPECT_EQ(policy.Voided(), Next::kRepeatAsItWas) << step;
    policy.Made();
  }
  EXPECT_EQ(policy.voided(), 4);
}

TEST(ShortagePolicyTest, TheCauseIsWhatStandsBeforeAdviceAndHolders) {
  EXPECT_EQ(CauseOf("rank 1: forward h.0.attn: no room for 16 MiB (data 1 MiB); raise memory.host; the largest: 1"),
            "rank 1: forward h.0.attn: no room for 16 MiB (data 1 MiB)");
  EXPECT_EQ(CauseOf("rank 0: reduce head: out of memory"), "rank 0: reduce head: out of memory");
}

}  // namespace
}  // namespace stowage
