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

}  // namespace
}  // namespace stowage
