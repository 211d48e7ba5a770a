// A step that runs out of memory on some rank is made again with the same samples, and the run comes to the bits of one
// that had the smaller micro-batch from that step on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/memory/made_up_tokens.h"
#include "tests/steps/step_run.h"

namespace stowage {
namespace {

using testing::HasSubstr;

constexpr int64_t kContext = 12;
constexpr int64_t kSteps = 4;
// Two micro-batches of 11; the largest divisor that train.micro_batch: auto may take.
constexpr int64_t kGlobalBatch = 22, kAuto = 11, kHalf = 6;

Config TinyGpt() {
  Config config;
  config.run.seed = 5;
  config.model.layers = 2;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.context = kContext;
  config.model.dropout = 0.1;
  config.train.steps = kSteps;
  config.train.global_batch = kGlobalBatch;
  config.optimizer.lr = 1e-2;
  config.checkpoint.every = 1;
  config.checkpoint.keep = 1000;
  return config;
}

StepRun RunOf(const Config& config, int world_size, const std::string& name) {
  StepRun run;
  run.config = config;
  run.world_size = world_size;
  run.folder = absl::StrCat(testing::TempDir(), "/void_", name, "_", world_size);
  run.data = [] { return std::make_unique<MadeUpTokens>(kContext, nullptr); };
  return run;
}

void ExpectAllDone(const StepRun& run) {
  for (const auto& outcome : TrainRanks(run)) ASSERT_TRUE(outcome.ok()) << outcome.status();
}

int64_t VoidedIn(const nlohmann::json& line) { return line.value("voided", int64_t{0}); }

class VoidTest : public testing::TestWithParam<int> {
 protected:
  int world_size() const { return GetParam(); }

  // Final weights of a run that had micro-batches of kAuto before `step` and of `micro_batch` from it on. No step of it
  // fails: its first part is another run's, and the state of that one's checkpoint says the smaller micro-batch.
  Weights SmallerFrom(int64_t step, int64_t micro_batch) {
    const std::string name = absl::StrCat("reference_", step, "_", micro_batch);
    StepRun run = RunOf(TinyGpt(), world_size(), name);
    if (step == 0) {
      run.config.train.micro_batch = micro_batch;
      ExpectAllDone(run);
    } else {
      ExpectAllDone(run);
      GoBackTo(run.folder, step);
      SetState(run.folder, step, "micro_batch", absl::StrCat(micro_batch));
      run.resume = true;
      ExpectAllDone(run);
    }
    return WeightsAt(run.folder, kSteps);
  }

  // Whether this Read is the first one of a step that comes for the first time; `micro_batches`: of each step here.
  struct FirstReads {
    std::set<int64_t> seen;
    int64_t count = 0;
    // The step, from 1 on; 0: it is none.
    int64_t StepOf(absl::Span<const SampleId> samples, int64_t micro_batches) {
      if (!seen.insert(samples.front().index).second) return 0;
      return count++ % micro_batches == 0 ? (count - 1) / micro_batches + 1 : 0;
    }
  };
};

// Steps follow each other, and in the n-th one the n-th allocation is refused: between its first Read and the next
// step's, so in what comes before the next step's first micro-batch as well.
TEST_P(VoidTest, AtEachAllocationOfAStepInTurnItIsRepeatedAsItWasWhereTheMicroBatchIsFixed) {
  constexpr int64_t kSweep = 240;
  Config config = TinyGpt();
  config.train.steps = kSweep;
  config.train.global_batch = 4;
  config.train.micro_batch = 2;
  config.checkpoint.every = std::nullopt;
  const int64_t per_rank = 2 / world_size();
  StepRun unbroken = RunOf(config, world_size(), "unbroken");
  ExpectAllDone(unbroken);
  const Weights expected = WeightsAt(unbroken.folder, kSweep);

  for (const std::set<int>& culprits : std::vector<std::set<int>>{{0}, {world_size() - 1}, {0, world_size() - 1}}) {
    StepRun broken = RunOf(config, world_size(), "broken");
    std::vector<FirstReads> reads(static_cast<size_t>(world_size()));
    broken.on_read = [&](int rank, absl::Span<const SampleId> samples) {
      const int64_t step = reads[static_cast<size_t>(rank)].StepOf(samples, per_rank);
      if (step > 0 && culprits.count(rank) > 0) RefusingSource().Arm({step});
      return absl::OkStatus();
    };
    ExpectAllDone(broken);
    EXPECT_EQ(Difference(WeightsAt(broken.folder, kSweep), expected), "");
    const std::vector<nlohmann::json> lines = StepLines(broken.folder);
    ASSERT_EQ(static_cast<int64_t>(lines.size()), kSweep);
    int64_t voided = 0, last = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      voided += VoidedIn(lines[i]);
      if (VoidedIn(lines[i]) > 0) last = static_cast<int64_t>(i) + 1;
      EXPECT_EQ(lines[i]["micro_batch"], 2);
    }
    // Steps have fewer allocations than kSweep: the sweep came to their end.
    EXPECT_GT(voided, 50);
    EXPECT_LT(last, kSweep);
    EXPECT_EQ(ReportOf(broken.folder)["voided_steps"], voided);
    if (world_size() == 1) break;
  }
}

TEST_P(VoidTest, AtAllocationsOfAllStepsInTurnTheRunGoesOnAsOneWithHalfTheMicroBatchFromThatStepOn) {
  std::map<int64_t, Weights> expected;
  for (int64_t step = 0; step < kSteps; ++step) expected[step] = SmallerFrom(step, kHalf);
  for (int64_t step = 1; step < kSteps; ++step) EXPECT_NE(Difference(expected[step], expected[0]), "");

  std::set<int64_t> voided_steps;
  bool past_the_end = false;
  const std::vector<std::set<int>> sets =
      world_size() == 1 ? std::vector<std::set<int>>{{0}} : std::vector<std::set<int>>{{0}, {1}, {0, 1}};
  int64_t turn = 0;
  for (int64_t n = 1; !past_the_end && !HasFailure(); n += 41, ++turn) {
    SCOPED_TRACE(absl::StrCat("allocation ", n));
    const std::set<int>& culprits = sets[static_cast<size_t>(turn) % sets.size()];
    StepRun run = RunOf(TinyGpt(), world_size(), "halved");
    std::vector<int> reads(static_cast<size_t>(world_size()));
    run.on_read = [&](int rank, absl::Span<const SampleId>) {
      if (reads[static_cast<size_t>(rank)]++ == 0 && culprits.count(rank) > 0) RefusingSource().Arm({n});
      return absl::OkStatus();
    };
    ExpectAllDone(run);
    int64_t at = -1;
    const std::vector<nlohmann::json> lines = StepLines(run.folder);
    ASSERT_EQ(static_cast<int64_t>(lines.size()), kSteps);
    for (int64_t step = 0; step < kSteps; ++step) {
      const nlohmann::json& line = lines[static_cast<size_t>(step)];
      // Each culprit fails once; where both do, it may be in one step or in two that follow each other.
      if (VoidedIn(line) > 0 && at < 0) at = step;
      EXPECT_EQ(line["tokens"], kGlobalBatch * kContext);
      EXPECT_LE(VoidedIn(line), 1);
      EXPECT_EQ(line["micro_batch"], at < 0 ? kAuto : kHalf) << "step " << step;
    }
    past_the_end = at < 0;
    if (at < 0) break;
    voided_steps.insert(at);
    EXPECT_EQ(ReportOf(run.folder)["voided_steps"], 1);
    EXPECT_EQ(Difference(WeightsAt(run.folder, kSteps), expected[at]), "");
  }
  EXPECT_TRUE(past_the_end);
  EXPECT_EQ(static_cast<int64_t>(voided_steps.size()), kSteps);
}

// Blocks of a size that only micro-batches above 3 ask for: 11 is halved to 6 and to 3.
TEST_P(VoidTest, HalvesUntilTheStepFits) {
  StepRun run = RunOf(TinyGpt(), world_size(), "large_blocks");
  std::vector<int> reads(static_cast<size_t>(world_size()));
  run.on_read = [&](int rank, absl::Span<const SampleId>) {
    FailingSource::Plan plan;
    plan.nth = 1;
    plan.all_from_nth = true;
    plan.least_bytes = 17000;
    if (reads[static_cast<size_t>(rank)]++ == 0) RefusingSource().Arm(plan);
    return absl::OkStatus();
  };
  ExpectAllDone(run);
  const auto lines = StepLines(run.folder);
  ASSERT_EQ(static_cast<int64_t>(lines.size()), kSteps);
  EXPECT_EQ(VoidedIn(lines[0]), 2);
  for (const auto& line : lines) EXPECT_EQ(line["micro_batch"], 3);
  EXPECT_EQ(Difference(WeightsAt(run.folder, kSteps), SmallerFrom(0, 3)), "");
  EXPECT_EQ(ReportOf(run.folder)["micro_batch"], 3);
}

TEST_P(VoidTest, AResumeGoesOnWithTheMicroBatchThatWasInForce) {
  const auto run_with = [&](const std::string& name) {
    StepRun run = RunOf(TinyGpt(), world_size(), name);
    run.on_read = [reads = std::make_shared<int>(0)](int rank, absl::Span<const SampleId>) {
      return rank == 0 && (*reads)++ == 1 ? absl::ResourceExhaustedError("planted; raise it") : absl::OkStatus();
    };
    return run;
  };
  StepRun run = run_with("resumed");
  ExpectAllDone(run);
  const Weights unbroken = WeightsAt(run.folder, kSteps);
  GoBackTo(run.folder, 3);
  run.resume = true;
  run.on_read = nullptr;
  ExpectAllDone(run);
  EXPECT_EQ(StepLines(run.folder).back()["micro_batch"], kHalf);
  EXPECT_EQ(Difference(WeightsAt(run.folder, kSteps), unbroken), "");
}

TEST_P(VoidTest, UnderAPlannedArenaThePlanIsMadeAnewAndTheBitsAreTheSame) {
  Config config = TinyGpt();
  config.train.steps = 12;
  config.memory.allocator = "planned";
  StepRun run = RunOf(config, world_size(), "planned");
  std::vector<FirstReads> reads(static_cast<size_t>(world_size()));
  const int64_t per_rank = 2 / world_size();
  run.on_read = [&](int rank, absl::Span<const SampleId> samples) {
    const bool now = rank == 0 && reads[0].StepOf(samples, per_rank) == 7;
    return now ? absl::ResourceExhaustedError("planted") : absl::OkStatus();
  };
  ExpectAllDone(run);
  const auto report = ReportOf(run.folder);
  EXPECT_EQ(report["voided_steps"], 1);
  // Steps 3 to 6, the one that was voided, and 9 to 12: 7 is the first of its kind, 8 is recorded.
  EXPECT_EQ(report["planned"]["steps"], 9);
  config.memory.allocator = "online";
  StepRun online = RunOf(config, world_size(), "online");
  std::vector<FirstReads> again(static_cast<size_t>(world_size()));
  reads.swap(again);
  online.on_read = run.on_read;
  ExpectAllDone(online);
  EXPECT_EQ(Difference(WeightsAt(run.folder, 12), WeightsAt(online.folder, 12)), "");
}

TEST_P(VoidTest, WhereNothingHelpsAllRanksSaveAndSayTheSame) {
  StepRun unbroken = RunOf(TinyGpt(), world_size(), "whole");
  ExpectAllDone(unbroken);
  for (bool fixed : {false, true}) {
    StepRun run = RunOf(TinyGpt(), world_size(), "ended");
    if (fixed) run.config.train.micro_batch = kAuto;
    run.config.checkpoint.every = std::nullopt;
    const int culprit = world_size() - 1;
    std::vector<FirstReads> reads(static_cast<size_t>(world_size()));
    run.on_read = [&](int rank, absl::Span<const SampleId> samples) {
      FailingSource::Plan plan;
      plan.nth = 5;
      plan.all_from_nth = true;
      if (reads[static_cast<size_t>(rank)].StepOf(samples, 2 / world_size()) == 3 && rank == culprit) {
        RefusingSource().Arm(plan);
      }
      return absl::OkStatus();
    };
    const auto outcomes = TrainRanks(run);
    for (const auto& outcome : outcomes) {
      EXPECT_EQ(outcome.status(), outcomes[0].status());
      EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted);
      const std::string message(outcome.status().message());
      EXPECT_THAT(message, HasSubstr(absl::StrCat("step 3 does not fit with micro-batches of ", fixed ? kAuto : 1)));
      EXPECT_THAT(message, HasSubstr("step 2 is saved"));
      EXPECT_THAT(message, HasSubstr(absl::StrCat("rank ", culprit, ": ")));
      EXPECT_THAT(message, HasSubstr(" bytes ("));
    }
    EXPECT_EQ(Difference(WeightsAt(run.folder, 2), WeightsAt(unbroken.folder, 2)), "");
    if (!fixed) continue;
    run.resume = true;
    run.on_read = nullptr;
    ExpectAllDone(run);
    EXPECT_EQ(Difference(WeightsAt(run.folder, kSteps), WeightsAt(unbroken.folder, kSteps)), "");
  }
}

TEST_P(VoidTest, AnotherErrorThanAShortageIsNotRepeated) {
  StepRun run = RunOf(TinyGpt(), world_size(), "other");
  int64_t reads = 0;
  run.on_read = [&](int rank, absl::Span<const SampleId>) {
    if (rank != 0) return absl::OkStatus();
    return ++reads == 2 ? absl::DataLossError("torn") : absl::OkStatus();
  };
  for (const auto& outcome : TrainRanks(run)) EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(reads, 2);
}

TEST_P(VoidTest, TheLearningRateThatGrowsWithAccumulationDoesNotGrowWithAShortage) {
  StepRun run = RunOf(TinyGpt(), world_size(), "lr");
  run.config.train.lr_for_accumulation = "linear";
  ExpectAllDone(run);
  const auto whole = StepLines(run.folder);
  int64_t reads = 0;
  run.on_read = [&](int rank, absl::Span<const SampleId>) {
    return rank == 0 && reads++ == 0 ? absl::ResourceExhaustedError("planted") : absl::OkStatus();
  };
  ExpectAllDone(run);
  const auto halved = StepLines(run.folder);
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(halved[i]["lr"], whole[i]["lr"]);
    EXPECT_EQ(halved[i]["micro_batch"], kHalf);
  }
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, VoidTest, testing::Values(1, 2),
                         [](const auto& info) { return absl::StrCat("World", info.param); });

}  // namespace
}  // namespace stowage
