#include "trainer/schedule/planner.h"

#include <gtest/gtest.h>

#include <set>

#include "trainer/schedule/schedule_table.h"

namespace stowage {
namespace {

// embedding and head share group 0 (tied weights).
ModelShape Tied() {
  return {{"embedding", "layer.0", "layer.1", "head"}, {"embedding", "l0", "l1", "norm"}, {{0}, {1}, {2}, {3, 0}}};
}

TEST(PlannerTest, OneMicroBatchReadsAsAStep) {
  EXPECT_EQ(ScheduleTable(WriteTrainStep(Tied(), 1), Tied()),
            "forward embedding micro 0\nforward layer.0 micro 0\nforward layer.1 micro 0\nforward head micro 0\n"
            "backward head micro 0\nreduce norm -> e0\n"
            "backward layer.1 micro 0\nreduce l1 -> e1\n"
            "backward layer.0 micro 0\nreduce l0 -> e2\n"
            "backward embedding micro 0\nreduce embedding -> e3\n"
            "wait e0\nwait e1\nwait e2\nwait e3\nagree\n"
            "update norm\nupdate l1\nupdate l0\nupdate embedding\n");
}

TEST(PlannerTest, CopiesAreReleasedAfterTheirLastUseInTheLastMicroBatch) {
  ModelShape model = Tied();
  model.copied = {true, false, true, false};
  const std::string table = ScheduleTable(WriteTrainStep(model, 2), model);
  EXPECT_NE(table.find("backward layer.1 micro 1\nrelease l1\nreduce l1"), std::string::npos) << table;
  EXPECT_NE(table.find("backward embedding micro 1\nrelease embedding\nreduce embedding"), std::string::npos) << table;
  EXPECT_EQ(table.find("micro 0\nrelease"), std::string::npos) << table;
  EXPECT_EQ(table.find("release l0"), std::string::npos) << table;
}

TEST(PlannerTest, CopiesThatOnlyTheHeadReadsGoAfterItsBackwardAndTheGradientsWaitForTheEmbedding) {
  ModelShape model = Tied();
  model.copied = {true, true, true, false};
  model.copies_read_by_backward = {{}, {1}, {2}, {0}};
  const std::string table = ScheduleTable(WriteTrainStep(model, 2), model);
  EXPECT_NE(table.find("backward head micro 1\nrelease embedding\nreduce norm"), std::string::npos) << table;
  EXPECT_NE(table.find("backward embedding micro 1\nreduce embedding"), std::string::npos) << table;
  EXPECT_EQ(table.find("micro 0\nrelease"), std::string::npos) << table;
}

TEST(PlannerTest, GradientsAreReducedOnceHoweverManyMicroBatches) {
  for (int k : {1, 2, 5}) {
    const Schedule schedule = WriteTrainStep(Tied(), k);
    int reduces = 0, agrees = 0, forwards = 0;
    for (const Instruction& i : schedule.instructions) {
      reduces += i.op == Op::kReduce;
      agrees += i.op == Op::kAgree;
      forwards += i.op == Op::kForward;
    }
    EXPECT_EQ(reduces, 4) << k;
    EXPECT_EQ(agrees, 1) << k;
    EXPECT_EQ(forwards, 4 * k) << k;
  }
}

TEST(PlannerTest, EveryEventIsWaitedForBeforeAgreeAndUpdatesComeAfter) {
  const Schedule schedule = WriteTrainStep(Tied(), 3);
  std::set<int> begun, waited;
  bool agreed = false;
  for (const Instruction& i : schedule.instructions) {
    if (i.op == Op::kReduce) begun.insert(i.event);
    if (i.op == Op::kWait) {
      EXPECT_TRUE(begun.count(i.event));
      EXPECT_FALSE(agreed);
      waited.insert(i.event);
    }
    if (i.op == Op::kAgree) agreed = true;
    if (i.op == Op::kUpdate) {
      EXPECT_TRUE(agreed);
    }
  }
  EXPECT_EQ(begun, waited);
  EXPECT_EQ(static_cast<int>(begun.size()), schedule.events);
}

TEST(PlannerTest, EvaluationKeepsNothingAndUpdatesNothing) {
  for (const Instruction& i : WriteEvaluation(Tied(), 2).instructions) {
    EXPECT_TRUE(i.op == Op::kForward || i.op == Op::kAgree);
    EXPECT_EQ(i.op == Op::kForward ? i.keep : Keep::kNothing, Keep::kNothing);
  }
}

TEST(MicroBatchCutTest, EverySampleGoesToExactlyOneRankWhateverTheWorldSize) {
  for (int64_t samples : {1, 5, 10, 16}) {
    for (int64_t micro : {1, 3, 4, 16}) {
      for (int world : {1, 2, 3, 4, 8}) {
        const MicroBatchCut cut{samples, micro, world};
        std::multiset<int64_t> seen;
        for (int rank = 0; rank < world; ++rank) {
          for (int m = 0; m < cut.per_rank(); ++m) {
            const int64_t index = cut.GlobalIndex(rank, m);
            for (int64_t i = 0; i < cut.Size(index); ++i) seen.insert(cut.First(index) + i);
          }
        }
        ASSERT_EQ(static_cast<int64_t>(seen.size()), samples) << samples << " " << micro << " " << world;
        int64_t expected = 0;
        for (int64_t s : seen) ASSERT_EQ(s, expected++);
      }
    }
  }
}

TEST(MicroBatchCutTest, TenMicroBatchesAtFourARankMakeThreeRounds) {
  EXPECT_EQ((MicroBatchCut{40, 4, 4}).per_rank(), 3);  // the last round has two null micro-batches
  EXPECT_EQ((MicroBatchCut{40, 4, 4}).Size(9), 4);
  EXPECT_EQ((MicroBatchCut{40, 4, 4}).Size(10), 0);
}

}  // namespace
}  // namespace stowage
