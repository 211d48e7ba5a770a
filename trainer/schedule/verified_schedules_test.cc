#include "trainer/schedule/verified_schedules.h"

#include <gtest/gtest.h>

#include "trainer/schedule/planner.h"

namespace stowage {
namespace {

ModelShape OneSegment() {
  ModelShape model;
  model.segments = {"s"};
  model.groups = {"g"};
  model.groups_used = {{0}};
  return model;
}

TEST(VerifiedSchedulesTest, ASoundScheduleIsWalkedOnceAndAChangedOneAgain) {
  VerifiedSchedules verified(OneSegment());
  Schedule step = WriteTrainStep(OneSegment(), 2);
  const Schedule evaluation = WriteEvaluation(OneSegment(), 3);
  for (int n = 0; n < 5; ++n) {
    EXPECT_TRUE(verified.Check(step).ok());
    EXPECT_TRUE(verified.Check(evaluation).ok());
  }
  EXPECT_EQ(verified.walks(), 2);
  step.instructions.pop_back();  // the same object, another list
  EXPECT_EQ(verified.Check(step).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(verified.walks(), 3);
}

TEST(VerifiedSchedulesTest, ARefusedScheduleIsRefusedEveryTime) {
  VerifiedSchedules verified(OneSegment());
  Schedule step = WriteTrainStep(OneSegment(), 1);
  step.instructions.erase(step.instructions.begin());
  for (int n = 0; n < 3; ++n) EXPECT_FALSE(verified.Check(step).ok());
}

TEST(VerifiedSchedulesTest, EachPartOfAnInstructionAndOfAScheduleCounts) {
  const Schedule step = WriteTrainStep(OneSegment(), 1);
  EXPECT_EQ(step, step);
  for (int part = 0; part < 9; ++part) {
    Schedule other = step;
    Instruction& i = other.instructions[0];
    if (part == 0) i.op = Op::kAgree;
    if (part == 1) i.target = 7;
    if (part == 2) i.micro = 7;
    if (part == 3) i.event = 7;
    if (part == 4) i.keep = Keep::kNothing;
    if (part == 8) i.from = From::kKept;
    if (part == 5) other.micro_batches = 7;
    if (part == 6) other.events = 7;
    if (part == 7) other.instructions.pop_back();
    EXPECT_FALSE(other == step) << part;
  }
}

TEST(VerifiedSchedulesTest, ManyKindsInTurnAreAllPassed) {
  VerifiedSchedules verified(OneSegment());
  for (int n = 0; n < 3; ++n) {
    for (int micro_batches = 1; micro_batches < 9; ++micro_batches) {
      EXPECT_TRUE(verified.Check(WriteTrainStep(OneSegment(), micro_batches)).ok());
    }
  }
}

}  // namespace
}  // namespace stowage
