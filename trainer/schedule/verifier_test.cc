// Every rule, by schedules that keep to all others.
#include "trainer/schedule/verifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "trainer/schedule/planner.h"

namespace stowage {
namespace {

// embedding and head share group 0 (tied weights); groups 0 and 1 have copies; nobody uses group 3.
ModelShape Tied() {
  ModelShape model;
  model.segments = {"embedding", "layer", "head"};
  model.groups = {"wte", "l", "norm", "spare"};
  model.groups_used = {{0}, {1}, {2, 0}};
  model.copied = {true, true, false, false};
  return model;
}

// A schedule and how it is spoilt.
struct Draft {
  ModelShape model = Tied();
  Schedule schedule;

  std::vector<Instruction>& list() { return schedule.instructions; }
  int Find(Op op, int target = -1, int micro = -1) {
    const auto found = std::find_if(list().begin(), list().end(), [&](const Instruction& i) {
      return i.op == op && (target < 0 || i.target == target) && (micro < 0 || i.micro == micro);
    });
    EXPECT_NE(found, list().end());
    return static_cast<int>(found - list().begin());
  }
  int FindWait(int event) {
    const auto found = std::find_if(list().begin(), list().end(),
                                    [&](const Instruction& i) { return i.op == Op::kWait && i.event == event; });
    EXPECT_NE(found, list().end());
    return static_cast<int>(found - list().begin());
  }
  void Erase(int at) { list().erase(list().begin() + at); }
  void Insert(int at, const Instruction& i) { list().insert(list().begin() + at, i); }
  void Repeat(int at) { Insert(at + 1, Instruction(list()[at])); }
  // To stand at `to` of what is left.
  void Move(int from, int to) {
    const Instruction i = list()[from];
    Erase(from);
    Insert(to, i);
  }
};

Draft Train(int micro_batches = 2) {
  Draft draft;
  draft.schedule = WriteTrainStep(draft.model, micro_batches);
  return draft;
}

// Embedding and layer are one span.
Draft Recomputing() {
  Draft draft;
  draft.model.recompute = {{0, 2, {}}};
  draft.schedule = WriteTrainStep(draft.model, 1);
  return draft;
}

// ZeRO 3, but for the last norm, which is of ZeRO 1.
Draft Sharded(bool reduce_per_micro = false) {
  Draft draft;
  draft.model.copied.clear();
  draft.model.zero_stages = {3, 3, 1, 3};
  draft.model.reduce_per_micro = reduce_per_micro;
  draft.schedule = WriteTrainStep(draft.model, 2);
  return draft;
}

// Of what the head does not use nothing is trained.
Draft Frozen() {
  Draft draft;
  draft.model.frozen = {true, true, false, false};
  draft.model.first_trained = 2;
  draft.schedule = WriteTrainStep(draft.model, 1);
  return draft;
}

Draft Evaluation() {
  Draft draft;
  draft.schedule = WriteEvaluation(draft.model, 2);
  return draft;
}

struct Broken {
  const char* name;
  Rule rule;
  Draft (*make)();
  const char* where;  // part of Verify's message
};

const Broken kBroken[] = {
    {"AGroupThatThereIsNot", Rule::kShape,
     [] {
       Draft d = Evaluation();
       d.model.groups_used[1] = {9};
       return d;
     },
     "the model's shape: layer uses group 9 of 4"},
    {"AGroupNamedTwice", Rule::kShape,
     [] {
       Draft d = Evaluation();
       d.model.groups_used[1] = {1, 1};
       return d;
     },
     "layer names group l twice"},
    {"CopiesReadOfAGroupNotUsed", Rule::kShape,
     [] {
       Draft d = Evaluation();
       d.model.copies_read_by_backward = {{0}, {0}, {0}};
       return d;
     },
     "layer reads copies of group 0, which it does not use"},
    {"MarksOfCopiesForSomeGroupsOnly", Rule::kShape,
     [] {
       Draft d = Evaluation();
       d.model.copied.pop_back();
       return d;
     },
     "4 groups, and 3 marks of copies"},
    {"MarksOfFrozenGroupsForSomeOnly", Rule::kShape,
     [] {
       Draft d = Frozen();
       d.model.frozen.pop_back();
       return d;
     },
     "4 groups, and 3 marks of frozen ones"},
    {"ATrainedGroupBeforeTheFirstTrainedSegment", Rule::kShape,
     [] {
       Draft d = Frozen();
       d.model.frozen[1] = false;
       return d;
     },
     "layer is before the first trained segment, and uses l, which is trained"},
    {"AFirstTrainedSegmentThatThereIsNot", Rule::kShape,
     [] {
       Draft d = Frozen();
       d.model.first_trained = 3;
       return d;
     },
     "the first trained segment is 3 of 3"},
    {"KeptWhereBackwardDoesNotGo", Rule::kTapeLeft,
     [] {
       Draft d = Frozen();
       d.list()[d.Find(Op::kForward, 1)].keep = Keep::kAll;
       return d;
     },
     "the tape of layer micro 0 is left at the end"},
    {"BackwardToWhereNothingIsTrained", Rule::kBackwardOrder,
     [] {
       Draft d = Frozen();
       d.list()[d.Find(Op::kForward, 1)].keep = Keep::kAll;
       d.Insert(d.Find(Op::kBackward, 2) + 1, {Op::kBackward, 1, 0, -1, Keep::kAll});
       return d;
     },
     "the input's gradient of head micro 0 is not there"},
    {"AnUpdateOfAFrozenGroup", Rule::kUpdateOnce,
     [] {
       Draft d = Frozen();
       d.list().push_back({Op::kUpdate, 1, -1, -1, Keep::kAll});
       return d;
     },
     "the gradient of l is not there"},
    {"AMicroBatchTooMany", Rule::kRange,
     [] {
       Draft d = Evaluation();
       d.Insert(6, {Op::kForward, 0, 2, -1, Keep::kNothing});
       return d;
     },
     "instruction 6 (forward embedding micro 2 keep nothing): micro-batch 2 of 2"},
    {"ASegmentTooMany", Rule::kRange,
     [] {
       Draft d = Evaluation();
       d.Insert(6, {Op::kForward, 3, 1, -1, Keep::kNothing});
       return d;
     },
     "instruction 6 (forward segment 3? micro 1 keep nothing): segment 3 of 3"},
    {"ANegativeGroup", Rule::kRange,
     [] {
       Draft d = Evaluation();
       d.Insert(0, {Op::kRelease, -1});
       return d;
     },
     "instruction 0 (release group -1?): group -1 of 4"},
    {"AnEventTooMany", Rule::kRange,
     [] {
       Draft d = Train();
       d.list()[d.Find(Op::kReduce, 1)].event = d.list()[d.FindWait(1)].event = 3;
       return d;
     },
     "(reduce l -> e3): event 3 of 3"},
    {"MoreEventsThanInstructions", Rule::kRange,
     [] {
       Draft d = Evaluation();
       d.schedule.events = 1 << 30;
       return d;
     },
     "evaluation, as a whole"},
    {"SegmentsSwapped", Rule::kForwardOrder,
     [] {
       Draft d = Evaluation();
       std::swap(d.list()[1], d.list()[2]);
       return d;
     },
     "instruction 1 (forward head micro 0 keep nothing): the output of layer micro 0 is not there"},
    {"ForwardTwice", Rule::kForwardOrder,
     [] {
       Draft d = Evaluation();
       d.Repeat(1);
       return d;
     },
     "instruction 2 (forward layer micro 0 keep nothing): the output of embedding micro 0 has been there and is gone"},
    {"AMicroBatchRunAgain", Rule::kForwardOrder,
     [] {
       Draft d = Evaluation();
       for (int s = 0; s < 3; ++s) d.Insert(6 + s, Instruction(d.list()[s]));
       return d;
     },
     "instruction 6 (forward embedding micro 0 keep nothing): the batch of micro 0 has been there and is gone"},
    {"AMicroBatchThatStopsHalfWay", Rule::kMicroBatchWhole,
     [] {
       Draft d = Evaluation();
       d.Erase(d.Find(Op::kForward, 2, 1));
       return d;
     },
     "instruction 4 (forward layer micro 1 keep nothing): the output of layer micro 1 is left at the end"},
    {"AMicroBatchNeverRun", Rule::kMicroBatchWhole,
     [] {
       Draft d = Evaluation();
       d.schedule.micro_batches = 3;
       return d;
     },
     "evaluation, as a whole: micro-batch 2 is never run"},
    {"BackwardOfWhatKeptNothing", Rule::kTapeKept,
     [] {
       Draft d = Train();
       d.list()[d.Find(Op::kForward, 1, 0)].keep = Keep::kNothing;
       return d;
     },
     "(backward layer micro 0): the tape of layer micro 0 is not there"},
    {"BackwardTwice", Rule::kTapeUsedOnce,
     [] {
       Draft d = Train();
       d.Repeat(d.Find(Op::kBackward, 1, 0));
       return d;
     },
     "(backward layer micro 0): the tape of layer micro 0 has been there and is gone"},
    {"KeptForNobody", Rule::kTapeLeft,
     [] {
       Draft d = Evaluation();
       d.list()[d.Find(Op::kForward, 1, 1)].keep = Keep::kAll;
       return d;
     },
     "instruction 4 (forward layer micro 1): the tape of layer micro 1 is left at the end"},
    {"BackwardSwapped", Rule::kBackwardOrder,
     [] {
       Draft d = Train();
       std::swap(d.list()[d.Find(Op::kBackward, 1, 0)], d.list()[d.Find(Op::kBackward, 0, 0)]);
       return d;
     },
     "(backward embedding micro 0): the input's gradient of layer micro 0 is not there"},
    {"BackwardThatStopsHalfWay", Rule::kBackwardWhole,
     [] {
       Draft d;
       d.model.segments = {"frozen", "head"};
       d.model.groups = {"head"};
       d.model.groups_used = {{}, {0}};
       d.model.copied.clear();
       d.schedule.micro_batches = d.schedule.events = 1;
       d.list() = {{Op::kForward, 0, 0, -1, Keep::kNothing},
                   {Op::kForward, 1, 0},
                   {Op::kBackward, 1, 0},
                   {Op::kReduce, 0, -1, 0},
                   {Op::kWait, -1, -1, 0},
                   {Op::kAgree},
                   {Op::kUpdate, 0}};
       return d;
     },
     "instruction 2 (backward head micro 0): the input's gradient of head micro 0 is left at the end"},
    {"ReleasedBeforeTheLastBackwardThatReads", Rule::kCopiesReleased,
     [] {
       Draft d = Train();
       d.Move(d.Find(Op::kRelease, 0), d.Find(Op::kBackward, 0, 1));
       return d;
     },
     "(backward embedding micro 1): the copy of wte has been there and is gone"},
    {"ReleasedBeforeAForward", Rule::kCopiesReleased,
     [] {
       Draft d = Evaluation();
       d.Insert(4, {Op::kRelease, 1});
       return d;
     },
     "(forward layer micro 1 keep nothing): the copy of l has been there and is gone"},
    {"ReleasedTwice", Rule::kCopiesReleased,
     [] {
       Draft d = Train();
       d.Repeat(d.Find(Op::kRelease, 1));
       return d;
     },
     "(release l): the copy of l has been there and is gone"},
    {"ReleasedWithoutCopies", Rule::kCopiesReleased,
     [] {
       Draft d = Train();
       d.Insert(d.Find(Op::kReduce, 2), {Op::kRelease, 2});
       return d;
     },
     "(release norm): the copy of norm is not there"},
    {"RecomputedBeforeItRan", Rule::kRecomputeOrder,
     [] {
       Draft d = Recomputing();
       d.Move(d.Find(Op::kRecompute, 1), 1);
       return d;
     },
     "instruction 1 (recompute layer micro 0): the output of layer micro 0 is not there"},
    {"RecomputedAfterItsBackward", Rule::kRecomputeOrder,
     [] {
       Draft d = Recomputing();
       d.Insert(d.Find(Op::kBackward, 0), {Op::kRecompute, 1, 0});
       return d;
     },
     "(recompute layer micro 0): the tape of layer micro 0 has been there and is gone"},
    {"TheLastSegmentRecomputed", Rule::kRecomputeOrder,
     [] {
       Draft d = Recomputing();
       d.Insert(d.Find(Op::kBackward, 1), {Op::kRecompute, 2, 0});
       return d;
     },
     "head is the last segment"},
    {"TheFirstSegmentRecomputedFromTheOneBefore", Rule::kRecomputeOrder,
     [] {
       Draft d = Recomputing();
       d.list()[d.Find(Op::kRecompute, 0)].from = From::kBefore;
       return d;
     },
     "there is no segment before embedding"},
    {"RecomputedFromInputsThatWereNotKept", Rule::kRecomputeInputs,
     [] {
       Draft d = Recomputing();
       d.list()[0].keep = Keep::kNothing;
       return d;
     },
     "(recompute embedding micro 0 from its inputs): the kept input of embedding micro 0 is not there"},
    {"RecomputedFromWhatWasNotRecomputed", Rule::kRecomputeInputs,
     [] {
       Draft d = Recomputing();
       d.Erase(d.Find(Op::kRecompute, 0));
       return d;
     },
     "(recompute layer micro 0): the recomputed output of embedding micro 0 is not there"},
    {"RecomputedThoughItsTapeIsThere", Rule::kRecomputeOnce,
     [] {
       Draft d = Recomputing();
       d.list()[1].keep = Keep::kAll;
       return d;
     },
     "(recompute layer micro 0): the tape of layer micro 0 is there already"},
    {"InputsKeptForNobody", Rule::kRecomputeLeft,
     [] {
       Draft d = Recomputing();
       d.list()[1].keep = Keep::kInputs;
       return d;
     },
     "instruction 1 (forward layer micro 0 keep inputs): the kept input of layer micro 0 is left at the end"},
    {"RecomputedForNobody", Rule::kRecomputeLeft,
     [] {
       Draft d = Evaluation();
       d.list()[0].keep = Keep::kInputs;
       d.Insert(1, {Op::kRecompute, 0, 0, -1, Keep::kNothing, From::kKept});
       return d;
     },
     "the recomputed output of embedding micro 0 is left at the end"},
    {"ReducedBeforeTheTiedSegmentAdds", Rule::kReduceWhole,
     [] {
       Draft d = Train();
       d.Move(d.Find(Op::kReduce, 0), d.Find(Op::kBackward, 0, 1));
       return d;
     },
     "(reduce wte -> e2): the gradient of wte lacks contributions"},
    {"ReducedBeforeTheLastMicroBatch", Rule::kReduceWhole,
     [] {
       Draft d = Train();
       d.Move(d.Find(Op::kReduce, 2), d.Find(Op::kForward, 0, 1));
       return d;
     },
     "(reduce norm -> e0): the gradient of norm lacks contributions"},
    {"ReducedThoughNobodyUsesIt", Rule::kReduceWhole,
     [] {
       Draft d = Train();
       d.schedule.events = 4;
       d.Insert(d.Find(Op::kAgree), {Op::kWait, -1, -1, 3});
       d.Insert(0, {Op::kReduce, 3, -1, 3});
       return d;
     },
     "instruction 0 (reduce spare -> e3): the gradient of spare is not there"},
    {"ReducedTwice", Rule::kReduceOnce,
     [] {
       Draft d = Train();
       d.schedule.events = 4;
       d.Insert(d.Find(Op::kAgree), {Op::kWait, -1, -1, 3});
       d.Insert(d.Find(Op::kAgree) - 1, {Op::kReduce, 0, -1, 3});
       return d;
     },
     "(reduce wte -> e3): the gradient of wte has been reduced before"},
    {"ReducedWhileItIsBeingReduced", Rule::kReduceOnce,
     [] {
       Draft d = Train();
       d.schedule.events = 4;
       d.Insert(d.Find(Op::kAgree), {Op::kWait, -1, -1, 3});
       d.Insert(d.FindWait(0), {Op::kReduce, 0, -1, 3});
       return d;
     },
     "(reduce wte -> e3): the gradient of wte is still being reduced"},
    {"OneEventForTwo", Rule::kEventRaisedOnce,
     [] {
       Draft d = Train();
       d.list()[d.Find(Op::kReduce, 0)].event = 0;
       d.Erase(d.FindWait(2));
       return d;
     },
     "(reduce wte -> e0): event e0 is there already"},
    {"AnEventRaisedAgain", Rule::kEventRaisedOnce,
     [] {
       Draft d = Train();
       d.Move(d.FindWait(0), d.Find(Op::kReduce, 0));
       d.list()[d.Find(Op::kReduce, 0)].event = d.list()[d.FindWait(2)].event = 0;
       return d;
     },
     "(reduce wte -> e0): event e0 has been there and is gone"},
    {"WaitedForBeforeItIsRaised", Rule::kEventWaited,
     [] {
       Draft d = Train();
       d.Move(d.FindWait(2), d.Find(Op::kReduce, 0));
       return d;
     },
     "(wait e2): event e2 is not there"},
    {"WaitedForTwice", Rule::kEventWaited,
     [] {
       Draft d = Train();
       d.Repeat(d.FindWait(1));
       return d;
     },
     "(wait e1): event e1 has been there and is gone"},
    {"NeverWaitedFor", Rule::kEventWaited,
     [] {
       Draft d = Train();
       d.Erase(d.FindWait(1));
       return d;
     },
     "(agree): event e1 has not been waited for"},
    {"NoAgree", Rule::kAgreeOnce,
     [] {
       Draft d = Evaluation();
       d.Erase(d.Find(Op::kAgree));
       return d;
     },
     "evaluation, as a whole: no agree"},
    {"AgreeTwice", Rule::kAgreeOnce,
     [] {
       Draft d = Evaluation();
       d.Repeat(d.Find(Op::kAgree));
       return d;
     },
     "instruction 7 (agree): the agreement is there already"},
    {"GradientsThatAreNotReduced", Rule::kAgreeSeesAll,
     [] {
       Draft d = Train();
       d.Erase(d.Find(Op::kUpdate, 1));
       d.Erase(d.FindWait(1));
       d.Erase(d.Find(Op::kReduce, 1));
       return d;
     },
     "(agree): the gradient of l has not been reduced"},
    {"UpdateBeforeAgree", Rule::kUpdateAfterAgree,
     [] {
       Draft d = Train();
       d.Move(d.Find(Op::kUpdate, 2), d.Find(Op::kAgree));
       return d;
     },
     "(update norm): the agreement is not there"},
    {"UpdateTwice", Rule::kUpdateOnce,
     [] {
       Draft d = Train();
       d.Repeat(d.Find(Op::kUpdate, 1));
       return d;
     },
     "(update l): the gradient of l has been there and is gone"},
    {"UpdateMissing", Rule::kUpdateOnce,
     [] {
       Draft d = Train();
       d.Erase(d.Find(Op::kUpdate, 1));
       return d;
     },
     "(backward layer micro 0): the gradient of l is left at the end"},
    {"UpdateOfAGroupWithoutGradients", Rule::kUpdateOnce,
     [] {
       Draft d = Train();
       d.list().push_back({Op::kUpdate, 3});
       return d;
     },
     "(update spare): the gradient of spare is not there"},
    {"ForwardAfterAgree", Rule::kOnlyUpdatesAfterAgree,
     [] {
       Draft d = Evaluation();
       std::swap(d.list()[5], d.list()[6]);
       return d;
     },
     "instruction 6 (forward head micro 1 keep nothing): agree is instruction 5"},
    {"AStageThatThereIsNot", Rule::kShape,
     [] {
       Draft d = Sharded();
       d.model.zero_stages[1] = 4;
       return d;
     },
     "l has ZeRO stage 4"},
    {"AGatherOfWhatIsNotSharded", Rule::kRange,
     [] {
       Draft d = Sharded();
       d.model.zero_stages[1] = 0;
       return d;
     },
     "a gather of l, which is not sharded"},
    {"ForwardOnAShard", Rule::kGathered,
     [] {
       Draft d = Sharded();
       d.Move(d.Find(Op::kForward, 0), 0);
       return d;
     },
     "instruction 0 (forward embedding micro 0): what is whole of wte is not there"},
    {"ForwardBeforeTheGatherIsDone", Rule::kGathered,
     [] {
       Draft d = Sharded();
       d.Move(d.Find(Op::kForward, 0), d.FindWait(d.list()[d.Find(Op::kGather, 0)].event));
       return d;
     },
     "(forward embedding micro 0): what is whole of wte is still being gathered"},
    {"BackwardAfterTheRelease", Rule::kGathered,
     [] {
       Draft d = Sharded();
       d.Insert(d.Find(Op::kBackward, 2), {Op::kRelease, 0, -1, -1, Keep::kAll});
       return d;
     },
     "(backward head micro 0): what is whole of wte has been there and is gone"},
    {"GatheredOverWhatIsThere", Rule::kGatherOnce,
     [] {
       Draft d = Sharded();
       Instruction gather = d.list()[d.Find(Op::kGather, 0)];
       gather.event = d.schedule.events++;
       d.Insert(d.Find(Op::kForward, 0), gather);
       return d;
     },
     "what is whole of wte is there already"},
    {"NotGatheredAfterItsUpdate", Rule::kGatheredAtEnd,
     [] {
       Draft d = Sharded();
       const int gather = d.Find(Op::kGather, 2);
       d.Erase(d.FindWait(d.list()[gather].event));
       d.Erase(gather);
       return d;
     },
     "as a whole: what is whole of norm is not there at the end"},
    {"LeftGathered", Rule::kGatheredAtEnd,
     [] {
       Draft d = Sharded();
       for (int at = static_cast<int>(d.list().size()) - 1;; --at) {
         if (d.list()[at].op != Op::kRelease || d.list()[at].target != 1) continue;
         d.Erase(at);
         return d;
       }
     },
     "what is whole of l is left at the end"},
    {"AGatherThatNobodyWaitsFor", Rule::kEventWaited,
     [] {
       Draft d = Sharded();
       d.Erase(d.FindWait(d.list()[d.Find(Op::kGather, 2)].event));
       return d;
     },
     "is left at the end"},
    {"TheNextMicroBatchIntoABufferThatIsBeingReduced", Rule::kReduceWhole,
     [] {
       Draft d = Sharded(/*reduce_per_micro=*/true);
       d.Move(d.FindWait(d.list()[d.Find(Op::kReduce, 1, 0)].event), d.Find(Op::kBackward, 1, 1));
       return d;
     },
     "(backward layer micro 1): the gradient of l is still being reduced"},
    {"OneMicroBatchNotReduced", Rule::kReduceWhole,
     [] {
       Draft d = Sharded(/*reduce_per_micro=*/true);
       const int reduce = d.Find(Op::kReduce, 1, 0);
       d.Erase(d.FindWait(d.list()[reduce].event));
       d.Erase(reduce);
       return d;
     },
     "(backward layer micro 1): the gradient of l has not been reduced"},
    {"ReleaseAfterAgree", Rule::kOnlyUpdatesAfterAgree,
     [] {
       Draft d = Train();
       d.Move(d.Find(Op::kRelease, 0), d.Find(Op::kAgree));
       return d;
     },
     "(release wte): agree is instruction"},
};

class BrokenTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenTest, IsFoundAndNamed) {
  const Draft draft = GetParam().make();
  const std::optional<Violation> found = FindViolation(draft.schedule, draft.model);
  ASSERT_TRUE(found);
  const absl::Status status = Verify(draft.schedule, draft.model);
  EXPECT_EQ(found->rule, GetParam().rule) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find(GetParam().where), std::string::npos) << status;
  EXPECT_NE(status.message().find(std::string(RuleText(GetParam().rule))), std::string::npos) << status;
  EXPECT_EQ(status.message().find(draft.schedule.name), 0u) << status;
}

INSTANTIATE_TEST_SUITE_P(Rules, BrokenTest, testing::ValuesIn(kBroken),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(VerifierTest, EveryRuleHasAScheduleThatBreaksIt) {
  std::set<Rule> rules;
  std::set<std::string> texts;
  for (const Broken& broken : kBroken) rules.insert(broken.rule);
  for (int r = 0; r < kRules; ++r) texts.insert(std::string(RuleText(static_cast<Rule>(r))));
  EXPECT_EQ(static_cast<int>(rules.size()), kRules);
  EXPECT_EQ(static_cast<int>(texts.size()), kRules);
  EXPECT_EQ(texts.count("?"), 0u);
}

TEST(VerifierTest, WhatThePlannerWritesIsSound) {
  for (int micro_batches : {1, 2, 5}) {
    EXPECT_TRUE(Verify(WriteTrainStep(Tied(), micro_batches), Tied()).ok());
    EXPECT_TRUE(Verify(WriteEvaluation(Tied(), micro_batches), Tied()).ok());
  }
}

TEST(VerifierTest, MicroBatchesMayOverlap) {
  Draft draft = Train();
  // forward of micro 1 before backward of micro 0
  for (int s = 0; s < 3; ++s) draft.Move(draft.Find(Op::kForward, s, 1), 3 + s);
  EXPECT_TRUE(Verify(draft.schedule, draft.model).ok()) << Verify(draft.schedule, draft.model);
}

TEST(VerifierTest, CopiesMayGoBeforeABackwardThatDoesNotReadThem) {
  Draft draft = Train();
  draft.Move(draft.Find(Op::kRelease, 0), draft.Find(Op::kBackward, 0, 1));
  EXPECT_FALSE(Verify(draft.schedule, draft.model).ok());
  draft.model.copies_read_by_backward = {{}, {1}, {2, 0}};
  EXPECT_TRUE(Verify(draft.schedule, draft.model).ok()) << Verify(draft.schedule, draft.model);
}

TEST(VerifyReserveTest, TheFirstInstructionAboveTheReserveIsNamed) {
  const Schedule schedule = WriteEvaluation(Tied(), 1);
  EXPECT_TRUE(VerifyReserve(schedule, Tied(), {10, 20, 30, 5}, 30).ok());
  const absl::Status status = VerifyReserve(schedule, Tied(), {10, 20, 30, 25}, 19);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      status.message(),
      "evaluation, instruction 1 (forward layer micro 0 keep nothing): holds 20 bytes at its peak, 1 more than the "
      "19 that are reserved");
}

TEST(VerifyReserveTest, PeaksOfAnotherScheduleAreRefused) {
  const absl::Status status = VerifyReserve(WriteEvaluation(Tied(), 1), Tied(), {10, 20}, 30);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("2 predicted peaks for 4 instructions"), std::string::npos) << status;
}

}  // namespace
}  // namespace stowage
