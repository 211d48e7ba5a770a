#include "trainer/schedule/schedule_table.h"

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

TEST(ScheduleTableTest, AWrongIndexIsShownAndNotRead) {
  EXPECT_EQ(InstructionText({Op::kForward, 7, -3}, TwoSegments()), "forward segment 7? micro -3");
  EXPECT_EQ(InstructionText({Op::kReduce, -1, -1, 4}, TwoSegments()), "reduce group -1? -> e4");
}

TEST(ScheduleTableTest, ColumnsAreAlignedAndThoseThatAreNeverFilledAreLeftOut) {
  const ModelShape model = TwoSegments();
  EXPECT_EQ(ScheduleColumns(WriteTrainStep(model, 1), model),
            "index  op        target     micro  event\n"
            "    0  forward   embedding      0\n"
            "    1  forward   head           0\n"
            "    2  backward  head           0\n"
            "    3  reduce    norm                 e0\n"
            "    4  backward  embedding      0\n"
            "    5  reduce    wte                  e1\n"
            "    6  wait                           e0\n"
            "    7  wait                           e1\n"
            "    8  agree\n"
            "    9  update    norm\n"
            "   10  update    wte\n");
}

TEST(ScheduleTableTest, BytesStandAtTheRightAndWhatIsNotKnownIsBlank) {
  const ModelShape model = TwoSegments();
  EXPECT_EQ(ScheduleColumns(WriteEvaluation(model, 1), model, {900, 1536, -1}, {2048, 3 << 20, 5}),
            "index  op       target     micro  keep        live   peak\n"
            "    0  forward  embedding      0  nothing    900 B  2 KiB\n"
            "    1  forward  head           0  nothing  1.5 KiB  3 MiB\n"
            "    2  agree                                          5 B\n");
}

TEST(ScheduleTableDeathTest, BytesOfAnotherScheduleAreABug) {
  const ModelShape model = TwoSegments();
  EXPECT_DEATH(ScheduleColumns(WriteEvaluation(model, 1), model, {1, 2}), "2 of 3");
}

}  // namespace
}  // namespace stowage
