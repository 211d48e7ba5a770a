#include "sharding/core_choice.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

CpuSet Range(int begin, int end) {
  CpuSet cores;
  for (int core = begin; core < end; ++core) cores.push_back(core);
  return cores;
}

CoreFacts Facts(CpuSet bound, CpuSet allowed, int local_rank, int local_size) {
  CoreFacts facts;
  facts.bound = std::move(bound);
  facts.allowed = std::move(allowed);
  facts.local_rank = local_rank;
  facts.local_size = local_size;
  return facts;
}

TEST(CoreChoiceTest, OneRankTakesAllThatIsAllowedWhateverTheLaunchersDefaultBinding) {
  const CoreChoice choice = ChooseCores(Facts({0}, {0, 1}, 0, 1), 0);
  EXPECT_EQ(choice.threads, 2);
  EXPECT_EQ(choice.cores, CpuSet({0, 1}));
  EXPECT_EQ(choice.description, "threads 2 (auto: 2 cores, 1 rank on this host), cores 0-1");
}

TEST(CoreChoiceTest, RanksOfAHostGetDisjointCoresAndTheSameNumberOfThreads) {
  for (int local_size : {1, 2, 3, 5, 8}) {
    std::set<int> taken;
    for (int rank = 0; rank < local_size; ++rank) {
      const CoreChoice choice = ChooseCores(Facts({0}, Range(4, 12), rank, local_size), 0);
      EXPECT_EQ(choice.threads, 8 / local_size);
      EXPECT_GE(static_cast<int>(choice.cores.size()), choice.threads);
      for (int core : choice.cores) EXPECT_TRUE(taken.insert(core).second) << "core " << core << " twice";
    }
    EXPECT_EQ(taken.size(), 8u);
  }
}

TEST(CoreChoiceTest, MoreRanksThanCoresShareThemUnboundWithOneThreadEach) {
  for (int rank = 0; rank < 3; ++rank) {
    const CoreChoice choice = ChooseCores(Facts({0}, {0, 1}, rank, 3), 0);
    EXPECT_EQ(choice.threads, 1);
    EXPECT_EQ(choice.cores, CpuSet({0, 1}));
    EXPECT_TRUE(absl::StrContains(choice.description, "more ranks than cores")) << choice.description;
  }
}

TEST(CoreChoiceTest, AUsersBindingIsKept) {
  CoreFacts facts = Facts({5}, Range(0, 8), 0, 2);
  facts.binding_is_users = true;
  EXPECT_EQ(ChooseCores(facts, 0).threads, 1);
  EXPECT_EQ(ChooseCores(facts, 0).cores, CpuSet({5}));
  facts.bound = facts.allowed;  // --bind-to none: unbound, but threads do not multiply
  EXPECT_EQ(ChooseCores(facts, 0).threads, 4);
  EXPECT_EQ(ChooseCores(facts, 0).cores, facts.allowed);
}

TEST(CoreChoiceTest, RequestedThreadsAreGivenAndTakeMoreCoresIfTheyNeedThem) {
  const CoreFacts facts = Facts({0}, Range(0, 4), 1, 2);
  EXPECT_EQ(ChooseCores(facts, 2).cores, CpuSet({2, 3}));
  EXPECT_EQ(ChooseCores(facts, 3).threads, 3);
  EXPECT_EQ(ChooseCores(facts, 3).cores, Range(0, 4));
  EXPECT_TRUE(absl::StrContains(ChooseCores(facts, 9).description, "more threads than cores"));
}

TEST(CoreChoiceTest, AQuotaLimitsThreadsRoundedUpAndSharedByRanks) {
  CoreFacts facts = Facts(Range(0, 8), Range(0, 8), 0, 1);
  facts.quota_cores = 1.5;
  EXPECT_EQ(ChooseCores(facts, 0).threads, 2);
  EXPECT_TRUE(absl::StrContains(ChooseCores(facts, 0).description, "quota of 1.5 cores"));
  facts.local_size = 4;
  EXPECT_EQ(ChooseCores(facts, 0).threads, 1);
}

}  // namespace
}  // namespace stowage
