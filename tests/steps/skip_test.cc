// Steps whose gradients are not finite update nothing on any rank; the loss's scale follows them, and changes no bit.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "tests/memory/made_up_tokens.h"
#include "tests/steps/step_run.h"

namespace stowage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kFeatures = 6, kClasses = 3;

// Vectors of made-up numbers, and classes.
class MadeUpPoints final : public Dataset {
 public:
  int64_t size() const override { return 1000; }
  std::string fingerprint() const override { return "made up"; }
  DataShape shape() const override {
    DataShape shape;
    shape.input = {kFeatures};
    shape.outputs = kClasses;
    shape.classes = true;
    return shape;
  }
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    Batch batch;
    batch.samples = batch.loss_terms = static_cast<int64_t>(samples.size());
    at::Tensor inputs = at::empty({batch.samples, kFeatures}), targets = at::empty({batch.samples}, at::kLong);
    for (int64_t i = 0; i < batch.samples * kFeatures; ++i) {
      const uint64_t key =
          HashKey({static_cast<uint64_t>(samples[i / kFeatures].index), static_cast<uint64_t>(i % kFeatures)});
      inputs.data_ptr<float>()[i] = static_cast<float>(key % 2000) * 1e-3f - 1.0f;
      targets.data_ptr<int64_t>()[i / kFeatures] = samples[i / kFeatures].index % kClasses;
    }
    batch.tensors = {{"inputs", inputs}, {"targets", targets}};
    return batch;
  }
};

StepRun Points(int world_size, int64_t steps, const std::string& name) {
  StepRun run;
  run.world_size = world_size;
  run.folder = absl::StrCat(testing::TempDir(), "/skip_", name, "_", world_size);
  run.data = [] { return std::make_unique<MadeUpPoints>(); };
  Config& config = run.config;
  config.run.seed = 5;
  config.model = ModelConfig();
  config.model.kind = "mlp";
  config.model.width = 8;
  config.model.layers = 2;
  config.train.steps = steps;
  config.train.global_batch = 8;
  config.train.micro_batch = 2;
  config.optimizer.lr = 1e-2;
  config.optimizer.schedule.warmup_steps = 100;  // so that each update has a learning rate of its own
  config.train.loss_scale.kind = LossScaleValue::Kind::kDynamic;
  config.train.loss_scale_start = 1024.0;
  config.train.loss_scale_interval = 2;
  config.checkpoint.every = 1;
  config.checkpoint.keep = 100;
  return run;
}

// In each of `steps` (from 1 on) one input of one rank is infinite. Every rank reads one micro-batch a step here.
OnBatch InfinityOf(int rank, std::vector<int64_t> steps, int64_t steps_before = 0) {
  auto reads = std::make_shared<int64_t>(steps_before);
  return [=](int reader, absl::Span<const SampleId>, Batch* batch) {
    if (reader != rank) return;
    ++*reads;
    for (int64_t step : steps) {
      if (*reads == step) batch->tensors.at("inputs").data_ptr<float>()[1] = std::numeric_limits<float>::infinity();
    }
  };
}

void ExpectAllDone(const StepRun& run) {
  for (const auto& outcome : TrainRanks(run)) ASSERT_TRUE(outcome.ok()) << outcome.status();
}

std::vector<double> Column(const std::string& folder, const char* name) {
  std::vector<double> values;
  for (const auto& line : StepLines(folder)) values.push_back(line.at(name).get<double>());
  return values;
}

std::vector<int64_t> SkippedSteps(const std::string& folder) {
  std::vector<int64_t> steps;
  for (const auto& line : StepLines(folder)) {
    if (line.value("skipped", false)) steps.push_back(line["step"]);
  }
  return steps;
}

TEST(SkipTest, AnInfinityOnOneRankOfFourSkipsTheStepOnAllHalvesTheScaleAndChangesNoBit) {
  StepRun run = Points(4, 8, "infinity");
  run.on_batch = InfinityOf(2, {4});
  ExpectAllDone(run);
  EXPECT_THAT(SkippedSteps(run.folder), ElementsAre(4));
  EXPECT_EQ(Difference(WeightsAt(run.folder, 4), WeightsAt(run.folder, 3)), "");
  EXPECT_NE(Difference(WeightsAt(run.folder, 5), WeightsAt(run.folder, 4)), "");
  // Doubled after two clean steps, halved after the skipped one, doubled after two clean ones again.
  EXPECT_THAT(Column(run.folder, "loss_scale"), ElementsAre(1024, 1024, 2048, 2048, 1024, 1024, 2048, 2048));
  EXPECT_EQ(ReportOf(run.folder)["skipped_steps"], 1);
  EXPECT_EQ(ReportOf(run.folder)["steps"], 8);
}

TEST(SkipTest, ScheduleAndOptimizerCountUpdatesAndTheSamplesGoOn) {
  StepRun whole = Points(1, 8, "whole");
  whole.config.train.micro_batch = 8;
  ExpectAllDone(whole);
  StepRun run = Points(1, 8, "counted");
  run.config.train.micro_batch = 8;
  std::vector<int64_t> read;
  run.on_read = [&](int, absl::Span<const SampleId> samples) {
    read.push_back(samples.front().index);
    return absl::OkStatus();
  };
  run.on_batch = InfinityOf(0, {3});
  ExpectAllDone(run);
  std::vector<double> lr = Column(run.folder, "lr");
  const std::vector<double> unbroken = Column(whole.folder, "lr");
  EXPECT_EQ(lr[2], unbroken[2]);
  EXPECT_EQ(lr[3], unbroken[2]);
  EXPECT_EQ(lr[7], unbroken[6]);
  ASSERT_EQ(read.size(), 8u);
  EXPECT_NE(read[3], read[2]);
}

// The optimizer's own count is told nowhere, but AdamW's first update has the same size whatever the gradient is, and a
// second one has not.
TEST(SkipTest, TheFirstUpdateIsTheOptimizersFirst) {
  StepRun run = Points(1, 2, "first");
  run.config.train.micro_batch = 8;
  run.config.optimizer.grad_clip = 0.0;
  run.config.optimizer.weight_decay = 0.0;
  run.config.optimizer.schedule.warmup_steps = 0;
  run.on_batch = InfinityOf(0, {1});
  ExpectAllDone(run);
  const Weights before = WeightsAt(run.folder, 1), after = WeightsAt(run.folder, 2);
  const double lr = Column(run.folder, "lr")[1];
  int64_t moved = 0;
  for (const auto& [name, bytes] : after) {
    if (name.compare(0, 10, "optimizer.") == 0) continue;
    const float* const now = reinterpret_cast<const float*>(bytes.data());
    const float* const then = reinterpret_cast<const float*>(before.at(name).data());
    for (size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
      if (now[i] == then[i]) continue;
      ++moved;
      EXPECT_NEAR(std::abs(now[i] - then[i]), lr, 0.02 * lr) << name;
    }
  }
  EXPECT_GT(moved, 10);
}

TEST(SkipTest, CountsAndScaleSurviveSavingAndResuming) {
  StepRun run = Points(2, 10, "resumed");
  run.config.train.micro_batch = 4;
  run.on_batch = InfinityOf(1, {3, 8});
  ExpectAllDone(run);
  const Weights unbroken = WeightsAt(run.folder, 10);
  const std::vector<double> scales = Column(run.folder, "loss_scale"), lr = Column(run.folder, "lr");
  GoBackTo(run.folder, 4);
  run.resume = true;
  run.on_batch = InfinityOf(1, {8}, /*steps_before=*/4);
  ExpectAllDone(run);
  EXPECT_EQ(Difference(WeightsAt(run.folder, 10), unbroken), "");
  EXPECT_EQ(Column(run.folder, "loss_scale"), scales);
  EXPECT_EQ(Column(run.folder, "lr"), lr);
  EXPECT_EQ(ReportOf(run.folder)["skipped_steps"], 2);
}

TEST(SkipTest, SoManyInARowEndTheRunOnAllRanks) {
  StepRun run = Points(2, 20, "ended");
  run.config.train.micro_batch = 4;
  run.config.train.max_skipped_steps = 3;
  run.on_batch = InfinityOf(1, {2, 3, 5, 6, 7});
  const auto outcomes = TrainRanks(run);
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome.status(), outcomes[0].status());
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("step 7: loss "));
    EXPECT_THAT(std::string(outcome.status().message()),
                HasSubstr("not finite; nothing was updated in 3 steps in a row "
                          "(train.max_skipped_steps: 3)"));
  }
  EXPECT_EQ(Difference(WeightsAt(run.folder, 6), WeightsAt(run.folder, 4)), "");
}

TEST(SkipTest, AScaleThatIsTooLargeComesDownUntilItFits) {
  StepRun run = Points(1, 40, "too_large");
  run.config.train.micro_batch = 8;
  run.config.train.loss_scale_start = 1e38;
  run.config.train.loss_scale_interval = 1000;
  run.config.train.max_skipped_steps = 30;
  run.config.checkpoint.every = std::nullopt;
  ExpectAllDone(run);
  const auto skipped = SkippedSteps(run.folder);
  EXPECT_GE(skipped.size(), 1u);
  EXPECT_LE(skipped.size(), 20u);
  EXPECT_FALSE(StepLines(run.folder).back().value("skipped", false));
}

class LossScaleBitsTest : public testing::TestWithParam<std::string> {};

// Dropout, clipping that acts, weights that both ends of the model use.
TEST_P(LossScaleBitsTest, PowersOfTwoGiveTheBitsOfNone) {
  const auto train = [&](LossScaleValue::Kind kind, double scale, int world_size) {
    StepRun run;
    run.world_size = world_size;
    run.folder = absl::StrCat(testing::TempDir(), "/scale_", GetParam(), "_", static_cast<int>(kind));
    run.data = [] { return std::make_unique<MadeUpTokens>(/*context=*/12, nullptr); };
    Config& config = run.config;
    config.precision = GetParam();
    config.model.layers = 2;
    config.model.width = 16;
    config.model.heads = 2;
    config.model.context = 12;
    config.model.dropout = 0.1;
    config.train.steps = 8;
    config.train.global_batch = 8;
    config.train.micro_batch = 2;
    config.train.loss_scale.kind = kind;
    config.train.loss_scale.fixed = scale;
    if (kind == LossScaleValue::Kind::kDynamic) config.train.loss_scale_interval = 2;
    config.optimizer.grad_clip = 0.01;
    ExpectAllDone(run);
    return std::make_pair(WeightsAt(run.folder, 8), Column(run.folder, "grad_norm"));
  };
  for (int world_size : {1, 2}) {
    const auto none = train(LossScaleValue::Kind::kNone, 1.0, world_size);
    const auto expect_same = [&](LossScaleValue::Kind kind, double scale) {
      const auto scaled = train(kind, scale, world_size);
      EXPECT_EQ(Difference(scaled.first, none.first), "") << scale;
      EXPECT_EQ(scaled.second, none.second) << scale;
    };
    expect_same(LossScaleValue::Kind::kFixed, 4096.0);
    expect_same(LossScaleValue::Kind::kFixed, 0.125);
    expect_same(LossScaleValue::Kind::kDynamic, 0.0);
    // Not a power of two: it does act.
    EXPECT_NE(Difference(train(LossScaleValue::Kind::kFixed, 1000.0, world_size).first, none.first), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, LossScaleBitsTest, testing::Values("fp32", "bf16"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace stowage
