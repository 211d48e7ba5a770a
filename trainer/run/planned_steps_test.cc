#include "trainer/run/planned_steps.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "memory/counting_allocator.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

class PlannedStepsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(SetUpProcess(1).ok());
    steps_ = std::make_unique<PlannedSteps>(InstalledPool(), [this](const std::string& line) { log_.push_back(line); });
  }

  // A step of blocks of `numel` floats: three, two of them at once.
  void Step(const PlannedSteps::Key& key, int64_t numel, bool ok = true) {
    steps_->Begin(key);
    {
      at::Tensor a = at::full({numel}, 1.0);
      { at::Tensor b = at::full({2 * numel}, 2.0); }
      at::Tensor c = at::full({3 * numel}, 3.0);
      EXPECT_EQ(a.sum().item<float>(), static_cast<float>(numel));
    }
    steps_->End(ok);
  }

  std::vector<std::string> log_;
  std::unique_ptr<PlannedSteps> steps_;
};

TEST_F(PlannedStepsTest, TheSecondStepOfAKindIsRecordedAndTheThirdFollows) {
  Step({4}, 10'000);
  EXPECT_FALSE(steps_->planned());
  Step({4}, 10'000);
  EXPECT_TRUE(steps_->planned());
  ASSERT_EQ(log_.size(), 1);
  EXPECT_EQ(steps_->statistics().steps, 0);
  Step({4}, 10'000);
  Step({4}, 10'000);
  const PlannedStatistics statistics = steps_->statistics();
  EXPECT_EQ(statistics.steps, 2);
  EXPECT_GE(statistics.served, 6);
  EXPECT_EQ(statistics.fallbacks(), 0);
  EXPECT_GE(statistics.arena_bytes, 4 * 10'000 * 4);
  EXPECT_LE(statistics.arena_bytes, 4 * 10'000 * 4 + 4096);
}

TEST_F(PlannedStepsTest, AStepOfAnotherKindRunsOnlineAndTheOldPlanHolds) {
  for (int i = 0; i < 3; ++i) Step({4}, 10'000);
  Step({3}, 7'000);
  EXPECT_EQ(steps_->statistics().steps, 1);
  Step({4}, 10'000);
  EXPECT_EQ(steps_->statistics().steps, 2);
  EXPECT_EQ(steps_->statistics().fallbacks(), 0);
  EXPECT_EQ(log_.size(), 1);
}

TEST_F(PlannedStepsTest, ASecondStepOfAnotherKindIsPlannedInItsTurn) {
  for (int i = 0; i < 3; ++i) Step({4}, 10'000);
  for (int i = 0; i < 3; ++i) Step({4, 4}, 20'000);
  EXPECT_EQ(log_.size(), 2);
  EXPECT_EQ(steps_->statistics().steps, 2) << "one of each plan";
  EXPECT_EQ(steps_->statistics().fallbacks(), 0);
}

TEST_F(PlannedStepsTest, TheRecordOfAFailedStepIsNoPlan) {
  Step({4}, 10'000);
  Step({4}, 10'000, /*ok=*/false);
  EXPECT_FALSE(steps_->planned());
  Step({4}, 10'000);
  EXPECT_TRUE(steps_->planned());
}

TEST_F(PlannedStepsTest, BetweenStepsTheArenaIsThePools) {
  for (int i = 0; i < 4; ++i) Step({4}, 1'000'000);
  const int64_t live = InstalledPool()->Statistics().live;
  const int64_t resident = InstalledPool()->Statistics().resident;
  {
    at::Tensor other = at::full({3'000'000}, 1.0);
    EXPECT_GE(InstalledPool()->Statistics().live, live + 12'000'000);
    EXPECT_LE(InstalledPool()->Statistics().resident, resident + (8 << 20) + 4096) << "pages of the arena are used";
  }
  Step({4}, 1'000'000);
  EXPECT_EQ(steps_->statistics().steps_without, 0);
}

TEST_F(PlannedStepsTest, TensorsMayOutliveThePlanAndTheTrainer) {
  at::Tensor online, recorded, planned;
  for (at::Tensor* kept : {&online, &recorded, &planned}) {
    steps_->Begin({1});
    { at::Tensor gone = at::full({5'000}, 1.0); }
    at::Tensor stays = at::full({6'000}, 2.0);
    if (kept == &planned) *kept = stays;
    steps_->End(true);
    if (kept != &planned) *kept = stays;
  }
  EXPECT_EQ(steps_->statistics().steps, 1);
  for (int i = 0; i < 2; ++i) Step({2}, 1'000);  // another plan: the first one goes
  steps_.reset();
  at::Tensor after = at::full({6'000}, 7.0);
  for (const at::Tensor& kept : {online, recorded, planned}) EXPECT_EQ(kept.sum().item<float>(), 12'000.0f);
}

}  // namespace
}  // namespace stowage
