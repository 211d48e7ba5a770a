#include "trainer/schedule/buffer_table.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

constexpr Buffer kTape{BufferKind::kTape, 1, 2};
constexpr Buffer kCopy{BufferKind::kCopies, 0, 0};
constexpr Buffer kGradient{BufferKind::kGradients, 1, 0};
constexpr Buffer kEvent{BufferKind::kEvent, 3, 0};

class BufferTableTest : public testing::Test {
 protected:
  BufferTableTest() {
    table_.SetSize(BufferKind::kTape, 2, 3);
    table_.SetSize(BufferKind::kCopies, 1, 1);
    table_.SetSize(BufferKind::kGradients, 2, 1);
    table_.SetSize(BufferKind::kEvent, 4, 1);
    table_.Expect(kGradient, 2);
  }
  Fault Do(Act act, Buffer buffer, int event = -1) { return table_.Apply({act, buffer, event}, next_++); }

  BufferTable table_;
  int next_ = 0;
};

TEST_F(BufferTableTest, ABufferComesIsReadAndGoesOnce) {
  EXPECT_EQ(Do(Act::kRead, kTape), Fault::kNever);
  EXPECT_EQ(Do(Act::kFree, kTape), Fault::kNever);
  EXPECT_EQ(Do(Act::kTake, kTape), Fault::kNone);
  EXPECT_EQ(Do(Act::kTake, kTape), Fault::kThere);
  EXPECT_EQ(Do(Act::kRead, kTape), Fault::kNone);
  EXPECT_EQ(Do(Act::kFree, kTape), Fault::kNone);
  EXPECT_EQ(Do(Act::kRead, kTape), Fault::kGone);
  EXPECT_EQ(Do(Act::kFree, kTape), Fault::kGone);
  EXPECT_EQ(Do(Act::kTake, kTape), Fault::kGone);
}

TEST_F(BufferTableTest, NeighboursHaveLivesOfTheirOwnAndTheFirstThatIsThereIsFound) {
  EXPECT_FALSE(table_.FirstThere(BufferKind::kTape));
  EXPECT_EQ(Do(Act::kTake, kTape), Fault::kNone);
  for (int target = 0; target < 2; ++target) {
    for (int micro = 0; micro < 3; ++micro) {
      EXPECT_EQ(table_.IsThere({BufferKind::kTape, target, micro}), target == 1 && micro == 2);
    }
  }
  const auto found = table_.FirstThere(BufferKind::kTape);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->target, 1);
  EXPECT_EQ(found->micro, 2);
  EXPECT_EQ(table_.TakenAt(*found), 0);
}

TEST_F(BufferTableTest, WhatIsRefilledMayHaveBeenThereGoneOrNever) {
  EXPECT_EQ(Do(Act::kRefill, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kRefill, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kFree, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kRead, kCopy), Fault::kGone);
  EXPECT_EQ(Do(Act::kRefill, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kRead, kCopy), Fault::kNone);
}

TEST_F(BufferTableTest, WhatIsDroppedIsGoneWhetherOrNotItWasThereAndMayBeRefilled) {
  EXPECT_EQ(Do(Act::kDrop, kCopy), Fault::kNone);
  EXPECT_FALSE(table_.WasEver(kCopy));
  EXPECT_EQ(Do(Act::kRefill, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kDrop, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kRead, kCopy), Fault::kGone);
  EXPECT_EQ(Do(Act::kRefill, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kRead, kCopy), Fault::kNone);
}

TEST_F(BufferTableTest, WhatIsThereFromTheStartNeedsNoTaking) {
  table_.Start(kCopy);
  EXPECT_EQ(table_.TakenAt(kCopy), -1);
  EXPECT_EQ(Do(Act::kRead, kCopy), Fault::kNone);
  EXPECT_EQ(Do(Act::kFree, kCopy), Fault::kNone);
}

TEST_F(BufferTableTest, ASumIsLentWhenItIsWholeAndClosedFromThenOn) {
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kNever);
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kNone);
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kIncomplete);
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kNone);
  EXPECT_TRUE(table_.FirstNeverLent(BufferKind::kGradients));
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kNone);
  EXPECT_FALSE(table_.FirstNeverLent(BufferKind::kGradients));
  EXPECT_EQ(Do(Act::kTake, kEvent), Fault::kNone);
  for (Act act : {Act::kAdd, Act::kRead, Act::kFree, Act::kRefill, Act::kLend}) {
    EXPECT_EQ(Do(act, kGradient, 3), Fault::kLent) << static_cast<int>(act);
  }
  EXPECT_EQ(Do(Act::kReturn, kEvent), Fault::kNone);
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kSealed);
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kSealed);
  EXPECT_EQ(Do(Act::kRead, kGradient), Fault::kNone);
  EXPECT_EQ(Do(Act::kFree, kGradient), Fault::kNone);
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kGone);
}

TEST_F(BufferTableTest, AnEventIsWaitedForOnceAndOnlyWhenItWasRaised) {
  EXPECT_EQ(Do(Act::kReturn, kEvent), Fault::kNever);
  EXPECT_EQ(Do(Act::kTake, kEvent), Fault::kNone);
  EXPECT_EQ(Do(Act::kReturn, kEvent), Fault::kNone);
  EXPECT_EQ(Do(Act::kReturn, kEvent), Fault::kGone);
}

TEST_F(BufferTableTest, AFaultChangesNothing) {
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kNone);
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kIncomplete);
  EXPECT_EQ(Do(Act::kTake, kGradient), Fault::kThere);
  EXPECT_EQ(Do(Act::kAdd, kGradient), Fault::kNone);
  EXPECT_EQ(Do(Act::kLend, kGradient, 3), Fault::kNone);
}

TEST(BufferTableDeathTest, ABufferThatCannotBeIsABug) {
  BufferTable table;
  table.SetSize(BufferKind::kTape, 2, 3);
  EXPECT_DEATH(table.IsThere({BufferKind::kTape, 2, 0}), "target 2");
  EXPECT_DEATH(table.IsThere({BufferKind::kTape, 0, -1}), "micro -1");
}

}  // namespace
}  // namespace stowage
