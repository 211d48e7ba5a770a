// Random models, random damage: the verifier accepts a schedule exactly if playing it naively gives what a step should.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>

#include "trainer/schedule/naive_player.h"
#include "trainer/schedule/planner.h"
#include "trainer/schedule/schedule_table.h"
#include "trainer/schedule/verifier.h"

namespace stowage {
namespace {

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  // In [low, high]; by hand, for std::uniform_int_distribution differs between libraries.
  int In(int low, int high) { return low + static_cast<int>(engine_() % static_cast<uint32_t>(high - low + 1)); }
  bool OneIn(int n) { return In(1, n) == 1; }

 private:
  std::mt19937 engine_;
};

ModelShape RandomModel(Dice& dice, int most_segments) {
  ModelShape model;
  const int segments = dice.In(1, most_segments);
  const int groups = dice.In(0, segments + 2);
  const bool with_copies = dice.OneIn(2), reads_less = dice.OneIn(2);
  const bool sharded = dice.OneIn(2), all_alike = dice.OneIn(2);
  const int stage = dice.In(0, 3);
  const bool some_frozen = dice.OneIn(2);
  for (int g = 0; g < groups; ++g) {
    model.groups.push_back("g" + std::to_string(g));
    if (sharded) model.zero_stages.push_back(all_alike ? stage : dice.In(0, 3));
    if (some_frozen) model.frozen.push_back(dice.OneIn(2));
    if (with_copies) model.copied.push_back(dice.OneIn(2) && model.zero_stage(g) == 0);
  }
  model.reduce_per_micro = dice.OneIn(2);
  model.gather_ahead = dice.In(0, 3);
  const bool some_read = sharded && dice.OneIn(2);
  for (int s = 0; s < segments; ++s) {
    model.segments.push_back("s" + std::to_string(s));
    std::vector<int> used, read;
    // Few of them, so that some are tied and some are used by no segment.
    for (int n = groups == 0 ? 0 : dice.In(0, 3); n > 0; --n) {
      const int g = dice.In(0, groups - 1);
      if (std::find(used.begin(), used.end(), g) != used.end()) continue;
      used.push_back(g);
      if (dice.OneIn(2)) read.push_back(g);
    }
    model.groups_used.push_back(std::move(used));
    if (some_read) model.backward_reads_parameters.push_back(dice.OneIn(2));
    if (reads_less) model.copies_read_by_backward.push_back(std::move(read));
  }
  // Where nothing is trained, backward may go to any.
  int first = 0;
  const auto trains = [&](int s) {
    const std::vector<int>& used = model.groups_used[s];
    return std::any_of(used.begin(), used.end(), [&](int g) { return !model.is_frozen(g); });
  };
  while (first < segments - 1 && !trains(first)) ++first;
  model.first_trained = dice.OneIn(4) ? dice.In(0, first) : first;
  return model;
}

// Spans within [first, end), at times with spans in them.
RecomputeSpans RandomSpans(Dice& dice, int first, int end, int depth = 0) {
  RecomputeSpans spans;
  while (first < end && !dice.OneIn(5)) {
    RecomputeSpan span;
    span.first = dice.In(first, end - 1);
    span.end = dice.In(span.first + 1, end);
    if (depth < 2 && dice.OneIn(2)) span.inner = RandomSpans(dice, span.first, span.end, depth + 1);
    first = span.end;
    spans.push_back(std::move(span));
  }
  return spans;
}

Schedule RandomTrainStep(Dice& dice, ModelShape model, int micro_batches) {
  const int segments = static_cast<int>(model.segments.size());
  if (!dice.OneIn(3)) model.recompute = RandomSpans(dice, 0, segments);
  return WriteTrainStep(model, micro_batches);
}

Schedule RandomGoodSchedule(Dice& dice, const ModelShape& model, int most_micro_batches) {
  const int micro_batches = dice.In(1, most_micro_batches);
  return dice.OneIn(5) ? WriteEvaluation(model, micro_batches) : RandomTrainStep(dice, model, micro_batches);
}

void Mutate(Dice& dice, const ModelShape& model, Schedule* schedule) {
  std::vector<Instruction>& list = schedule->instructions;
  const int size = static_cast<int>(list.size());
  if (size == 0) return;
  const int at = dice.In(0, size - 1);
  const Instruction picked = list[at];
  switch (dice.In(0, 6)) {
    case 0:  // drop
      list.erase(list.begin() + at);
      break;
    case 1:  // duplicate
      list.insert(list.begin() + dice.In(0, size), picked);
      break;
    case 2:  // swap
      std::swap(list[at], list[dice.In(0, size - 1)]);
      break;
    case 3:  // swap with the next
      if (at + 1 < size) std::swap(list[at], list[at + 1]);
      break;
    case 4:  // move
      list.erase(list.begin() + at);
      list.insert(list.begin() + dice.In(0, size - 1), picked);
      break;
    case 5:  // retarget, at times out of range
      switch (dice.In(0, 4)) {
        case 0:
          list[at].target = dice.In(-1, static_cast<int>(std::max(model.segments.size(), model.groups.size())));
          break;
        case 1:
          list[at].micro = dice.In(-1, schedule->micro_batches);
          break;
        case 2:
          list[at].event = dice.In(-1, schedule->events);
          break;
        case 3:
          list[at].keep = static_cast<Keep>((static_cast<int>(list[at].keep) + dice.In(1, 2)) % 3);
          break;
        case 4:
          list[at].from = list[at].from == From::kKept ? From::kBefore : From::kKept;
          break;
      }
      break;
    case 6:  // another instruction
      list[at].op = static_cast<Op>(dice.In(0, static_cast<int>(Op::kWait)));
      break;
  }
}

struct Tally {
  int accepted = 0;
  std::map<Rule, int> rejected;

  int rejections() const {
    int sum = 0;
    for (const auto& [rule, count] : rejected) sum += count;
    return sum;
  }
};

// Both judge; that they agree is the test.
void Judge(const Schedule& schedule, const ModelShape& model, Tally* tally) {
  const std::optional<Violation> violation = FindViolation(schedule, model);
  const std::string naive = PlayNaively(schedule, model);
  ASSERT_EQ(violation.has_value(), !naive.empty())
      << "the verifier: " << Verify(schedule, model) << "\nthe player: " << (naive.empty() ? "harmless" : naive) << "\n"
      << ScheduleTable(schedule, model);
  if (violation) {
    ++tally->rejected[violation->rule];
  } else {
    ++tally->accepted;
  }
}

TEST(VerifierFuzzTest, WhatThePlannerWritesForRandomModelsIsAccepted) {
  Dice dice(1);
  for (int n = 0; n < 300; ++n) {
    const ModelShape model = RandomModel(dice, 40);
    for (const Schedule& schedule :
         {WriteTrainStep(model, 1 + n % 6), WriteEvaluation(model, 1 + n % 6), RandomTrainStep(dice, model, 1 + n % 6),
          RandomTrainStep(dice, model, dice.In(1, 6))}) {
      ASSERT_TRUE(Verify(schedule, model).ok()) << Verify(schedule, model) << "\n" << ScheduleTable(schedule, model);
      ASSERT_EQ(PlayNaively(schedule, model), "");
    }
  }
}

void MutateMany(uint32_t seed, int count, int most_segments, int most_micro_batches, Tally* tally) {
  Dice dice(seed);
  for (int n = 0; n < count; ++n) {
    const ModelShape model = RandomModel(dice, most_segments);
    const Schedule good = RandomGoodSchedule(dice, model, most_micro_batches);
    Schedule schedule = good;
    // One in three is spoilt more than once: the second may mend the first.
    for (int times = dice.OneIn(3) ? dice.In(2, 3) : 1; times > 0; --times) Mutate(dice, model, &schedule);
    if (ScheduleTable(schedule, model) == ScheduleTable(good, model)) continue;  // nothing that is read has changed
    ASSERT_NO_FATAL_FAILURE(Judge(schedule, model, tally)) << "mutant " << n << " of seed " << seed;
  }
}

TEST(VerifierFuzzTest, MutantsAreRejectedOrHarmless) {
  Tally tally;
  ASSERT_NO_FATAL_FAILURE(MutateMany(2, 60000, 4, 3, &tally));
  ASSERT_NO_FATAL_FAILURE(MutateMany(3, 1000, 40, 6, &tally));
  std::cout << tally.rejections() << " mutants rejected, " << tally.accepted << " accepted and found harmless\n";
  for (const auto& [rule, count] : tally.rejected) std::cout << "  " << count << ": " << RuleText(rule) << "\n";
  // So that the fuzz cannot become empty: both kinds come up, and every rule that damage to a list can break does.
  EXPECT_GT(tally.rejections(), 15000);
  EXPECT_GT(tally.accepted, 1500);
  for (int r = 0; r < kRules; ++r) {
    const Rule rule = static_cast<Rule>(r);
    // Half a way back takes two certain blows at once: one in 10^5, too few to count on.
    if (rule != Rule::kShape && rule != Rule::kBackwardWhole) {
      EXPECT_GT(tally.rejected[rule], 0) << RuleText(rule);
    }
  }
}

// All orders of `schedule`'s instructions.
Tally Permute(Schedule schedule, const ModelShape& model) {
  const std::vector<Instruction> list = schedule.instructions;
  std::vector<int> order(list.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  Tally tally;
  do {
    for (size_t i = 0; i < order.size(); ++i) schedule.instructions[i] = list[order[i]];
    Judge(schedule, model, &tally);
    if (testing::Test::HasFatalFailure()) break;
  } while (std::next_permutation(order.begin(), order.end()));
  return tally;
}

TEST(VerifierFuzzTest, OfAllOrdersOfTwoMicroBatchesOnlyTheirInterleavingsAreSound) {
  ModelShape model;
  model.segments = {"s"};
  model.groups = {"g"};
  model.groups_used = {{0}};
  const Tally tally = Permute(WriteTrainStep(model, 2), model);  // 2 forward, 2 backward, reduce, wait, agree, update
  EXPECT_EQ(tally.accepted, 6);  // each micro-batch's backward after its forward: 4! / (2 * 2)
  EXPECT_EQ(tally.rejections(), 40320 - 6);
}

TEST(VerifierFuzzTest, OfAllOrdersOfATiedStepOnlyTheReleaseMayMove) {
  ModelShape model;
  model.segments = {"embedding", "head"};
  model.groups = {"wte"};
  model.groups_used = {{0}, {0}};
  model.copied = {true};
  // 2 forward, 2 backward, release, reduce, wait, agree, update
  Tally tally = Permute(WriteTrainStep(model, 1), model);
  EXPECT_EQ(tally.accepted, 3);  // the release before reduce, wait or agree
  EXPECT_EQ(tally.rejections(), 362880 - 3);
}

}  // namespace
}  // namespace stowage
