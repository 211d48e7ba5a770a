#include "trainer/schedule/planner.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

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

TEST(PlannerTest, ZeRO3GathersOneGroupAheadAndReducesOneGroupAtATime) {
  ModelShape model = Tied();
  model.zero_stages = {3, 3, 3, 3};
  model.backward_reads_parameters = {false, true, true, true};
  // The layer before the head stays from forward to backward; an embedding's backward reads no parameters.
  EXPECT_EQ(ScheduleTable(WriteTrainStep(model, 1), model),
            "gather embedding -> e4\ngather l0 -> e5\nwait e4\nforward embedding micro 0\nrelease embedding\n"
            "gather l1 -> e6\nwait e5\nforward layer.0 micro 0\nrelease l0\n"
            "gather embedding -> e7\nwait e6\nforward layer.1 micro 0\n"
            "gather norm -> e8\nwait e8\nwait e7\nforward head micro 0\n"
            "backward head micro 0\nrelease embedding\nrelease norm\nreduce norm -> e0\n"
            "gather l0 -> e9\nbackward layer.1 micro 0\nrelease l1\nwait e0\nreduce l1 -> e1\n"
            "wait e9\nbackward layer.0 micro 0\nrelease l0\nwait e1\nreduce l0 -> e2\n"
            "backward embedding micro 0\nwait e2\nreduce embedding -> e3\nwait e3\nagree\n"
            "update norm\nupdate l1\nupdate l0\nupdate embedding\n");
}

TEST(PlannerTest, BackwardEndsAtTheFirstSegmentThatIsTrainedAndFrozenGroupsAreReadOnly) {
  ModelShape model = Tied();
  model.frozen = {true, true, false, true};  // the embedding, and with it the head's matrix
  model.first_trained = 2;
  EXPECT_EQ(ScheduleTable(WriteTrainStep(model, 1), model),
            "forward embedding micro 0 keep nothing\nforward layer.0 micro 0 keep nothing\n"
            "forward layer.1 micro 0\nforward head micro 0\n"
            "backward head micro 0\nbackward layer.1 micro 0\nreduce l1 -> e0\n"
            "wait e0\nagree\nupdate l1\n");
  model.zero_stages = {1, 2, 2, 3};
  const std::string table = ScheduleTable(WriteTrainStep(model, 1), model);
  EXPECT_NE(table.find("agree\nupdate l1\ngather l1 -> e1\nwait e1\n"), std::string::npos) << table;
  EXPECT_EQ(table.find("gather embedding"), std::string::npos) << table;
  EXPECT_NE(table.find("gather norm -> e2\n"), std::string::npos) << table;
}

TEST(PlannerTest, CopiesOfFrozenGroupsStay) {
  ModelShape model = Tied();
  model.copied = {true, true, true, true};
  model.frozen = {false, true, false, false};
  const std::string table = ScheduleTable(WriteTrainStep(model, 2), model);
  EXPECT_EQ(table.find("release l0"), std::string::npos) << table;
  EXPECT_NE(table.find("release l1"), std::string::npos) << table;
  EXPECT_NE(table.find("backward layer.0"), std::string::npos) << table;  // on the way to the embedding
}

TEST(PlannerTest, WhatIsRecomputedBeginsWithTheFirstSegmentThatIsTrained) {
  ModelShape model = Tied();
  model.frozen = {true, true, false, false};
  model.first_trained = 2;
  model.recompute = {{0, 1}, {1, 3}};
  EXPECT_EQ(ScheduleTable(WriteTrainStep(model, 1), model),
            "forward embedding micro 0 keep nothing\nforward layer.0 micro 0 keep nothing\n"
            "forward layer.1 micro 0 keep inputs\nforward head micro 0\n"
            "backward head micro 0\nreduce norm -> e0\n"
            "recompute layer.1 micro 0 from its inputs\nbackward layer.1 micro 0\nreduce l1 -> e1\n"
            "wait e0\nwait e1\nagree\nupdate norm\nupdate l1\n");
}

TEST(PlannerTest, ZeRO1And2GatherAfterTheUpdate) {
  ModelShape model = Tied();
  model.zero_stages = {1, 2, 0, 2};
  const std::string table = ScheduleTable(WriteTrainStep(model, 1), model);
  EXPECT_NE(table.find("agree\nupdate norm\ngather norm -> e4\nupdate l1\nupdate l0\ngather l0 -> e5\n"
                       "update embedding\ngather embedding -> e6\nwait e4\nwait e5\nwait e6\n"),
            std::string::npos)
      << table;
  EXPECT_EQ(table.find("release"), std::string::npos) << table;
  // Buffers of ZeRO 2 go with the wait: one at a time.
  EXPECT_NE(table.find("reduce l1 -> e1\nbackward layer.0 micro 0\nwait e0\nwait e1\nreduce l0"), std::string::npos)
      << table;
}

TEST(PlannerTest, ReducedByMicroBatchEveryMicroBatchIs) {
  ModelShape model = Tied();
  model.reduce_per_micro = true;
  const std::string table = ScheduleTable(WriteTrainStep(model, 2), model);
  EXPECT_NE(
      table.find("backward embedding micro 0\nreduce embedding micro 0 -> e3\nwait e0\nwait e1\nwait e2\nwait e3\n"
                 "forward embedding micro 1\n"),
      std::string::npos)
      << table;
  EXPECT_NE(table.find("reduce embedding micro 1 -> e7\n"), std::string::npos) << table;
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

// A model of `segments` segments with a group each.
ModelShape Chain(int segments, RecomputeSpans recompute) {
  ModelShape model;
  model.recompute = std::move(recompute);
  for (int s = 0; s < segments; ++s) {
    model.segments.push_back(std::to_string(s));
    model.groups.push_back(std::to_string(s));
    model.groups_used.push_back({s});
  }
  return model;
}

// Forwards, recomputes and backwards of one micro-batch, in short: F forward, R recompute from kept inputs, r from the
// recompute before, B backward; with i inputs kept, n nothing.
std::string Short(const RecomputeSpans& spans, int segments) {
  std::string text;
  for (const Instruction& i : WriteTrainStep(Chain(segments, spans), 1).instructions) {
    if (TargetOf(i.op) != TargetKind::kSegment) continue;
    text += i.op == Op::kForward ? "F" : i.op == Op::kBackward ? "B" : i.from == From::kKept ? "R" : "r";
    text += std::to_string(i.target) + (i.keep == Keep::kAll ? " " : i.keep == Keep::kInputs ? "i " : "n ");
  }
  text.pop_back();
  return text;
}

TEST(PlannerTest, ASpanIsRunAgainBeforeItsBackwardFromTheInputsOfItsFirst) {
  EXPECT_EQ(Short({{1, 3, {}}}, 5), "F0 F1i F2n F3 F4 B4 B3 R1 r2 B2 B1 B0");
}

TEST(PlannerTest, WhatReachesToTheLastSegmentKeepsAll) {
  EXPECT_EQ(Short({{0, 2, {}}, {2, 4, {}}}, 4), "F0i F1n F2 F3 B3 B2 R0 r1 B1 B0");
  EXPECT_EQ(Short({{0, 4, {}}}, 4), "F0 F1 F2 F3 B3 B2 B1 B0");
}

TEST(PlannerTest, ATwoLevelSpanKeepsInputsOfItsInnerSpansWhenItIsRunAgain) {
  // Two outer spans of two inner ones each. The second outer span reaches to the end, and so does its last inner one.
  const RecomputeSpans spans = {{0, 4, {{0, 2, {}}, {2, 4, {}}}}, {4, 8, {{4, 6, {}}, {6, 8, {}}}}};
  EXPECT_EQ(Short(spans, 8),
            "F0i F1n F2n F3n F4i F5n F6 F7 B7 B6 R4 r5 B5 B4 "
            "R0i r1n r2 r3 B3 B2 R0 r1 B1 B0");
}

TEST(PlannerTest, WhatIsInNoInnerSpanIsKeptWhenTheOuterOneIsRunAgain) {
  EXPECT_EQ(Short({{0, 4, {{1, 3, {}}}}}, 5), "F0i F1n F2n F3n F4 B4 R0 r1i r2n r3 B3 R1 r2 B2 B1 B0");
}

TEST(PlannerDeathTest, SpansThatOverlapAreABug) {
  EXPECT_DEATH(WriteTrainStep(Chain(4, {{0, 2, {}}, {1, 3, {}}}), 1), "span 1 to 3 in 2 to 4");
  EXPECT_DEATH(WriteTrainStep(Chain(4, {{3, 5, {}}}), 1), "span 3 to 5 in 0 to 4");
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
