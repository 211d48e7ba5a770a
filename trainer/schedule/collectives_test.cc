#include "trainer/schedule/collectives.h"

#include <gtest/gtest.h>

#include "trainer/schedule/planner.h"

namespace stowage {
namespace {

ModelShape TwoSegments() {
  ModelShape model;
  model.segments = {"embedding", "head"};
  model.groups = {"wte", "norm"};
  model.groups_used = {{0}, {1}};
  return model;
}

TEST(CollectivesTest, TheTextHasWhereRanksMeetAndNothingElse) {
  const ModelShape model = TwoSegments();
  EXPECT_EQ(CollectivesText(WriteTrainStep(model, 3), model), "reduce norm\nreduce wte\nagree\n");
  EXPECT_EQ(CollectivesText(WriteTrainStep(model, 1), model, {640, 8}),
            "reduce norm (8 elements)\nreduce wte (640 elements)\nagree\n");
  EXPECT_EQ(CollectivesText(WriteEvaluation(model, 2), model), "agree\n");
}

TEST(CollectivesTest, HowManyMicroBatchesARankHasMakesNoDifference) {
  const ModelShape model = TwoSegments();
  EXPECT_TRUE(VerifySameCollectives(
                  {CollectivesText(WriteTrainStep(model, 1), model), CollectivesText(WriteTrainStep(model, 4), model)})
                  .ok());
  EXPECT_TRUE(VerifySameCollectives({}).ok());
}

TEST(CollectivesTest, TheFirstDifferenceIsNamedWithItsRank) {
  const absl::Status order = VerifySameCollectives(
      {"reduce a\nreduce b\nagree\n", "reduce a\nreduce b\nagree\n", "reduce a\nagree\nreduce b\n", "agree\n"});
  EXPECT_EQ(order.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(order.message(),
            "the ranks' steps do not meet: collective 2 of rank 0: \"reduce b\", of rank 2: \"agree\". Start the same "
            "program with the same config on every rank");
  const absl::Status shorter = VerifySameCollectives({"agree\n", ""});
  EXPECT_NE(shorter.message().find("collective 1 of rank 0: \"agree\", of rank 1: has none left"), std::string::npos)
      << shorter;
  const absl::Status size = VerifySameCollectives({"reduce a (8 elements)\n", "reduce a (9 elements)\n"});
  EXPECT_NE(size.message().find("of rank 1: \"reduce a (9 elements)\""), std::string::npos) << size;
}

}  // namespace
}  // namespace stowage
