#include "trainer/schedule/schedule_table.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

ModelShape TwoSegments() {
  ModelShape model;
  model.segments = {"embedding", "head"};
  model.groups = {"wte", "norm"};
  model.groups_used = {{0}, {1}};
  return model;
}

TEST(ScheduleTableTest, AWrongIndexIsShownAndNotRead) {
  EXPECT_EQ(InstructionText({Op::kForward, 7, -3}, TwoSegments()), "forward segment 7? micro -3");
  EXPECT_EQ(InstructionText({Op::kReduce, -1, -1, 4}, TwoSegments()), "reduce group -1? -> e4");
}

TEST(ScheduleTableTest, ARecomputeSaysWhereItsInputsComeFromAndWhatItKeeps) {
  EXPECT_EQ(InstructionText({Op::kForward, 0, 2, -1, Keep::kInputs}, TwoSegments()),
            "forward embedding micro 2 keep inputs");
  EXPECT_EQ(InstructionText({Op::kRecompute, 0, 2, -1, Keep::kInputs, From::kKept}, TwoSegments()),
            "recompute embedding micro 2 from its inputs keep inputs");
  EXPECT_EQ(InstructionText({Op::kRecompute, 1, 2}, TwoSegments()), "recompute head micro 2");
}

}  // namespace
}  // namespace stowage
