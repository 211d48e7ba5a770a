#include "trainer/optimizer/learning_rate.h"

#include "gtest/gtest.h"

namespace stowage {
namespace {

OptimizerConfig Config(const char* kind, int64_t warmup_steps) {
  OptimizerConfig config;
  config.lr = 1e-3;
  config.schedule.kind = kind;
  config.schedule.warmup_steps = warmup_steps;
  config.schedule.final_lr = 1e-4;
  return config;
}

TEST(LearningRateTest, WarmUpRisesLinearlyToTheWholeRate) {
  for (const char* kind : {"constant", "linear", "cosine"}) {
    const OptimizerConfig config = Config(kind, 20);
    EXPECT_DOUBLE_EQ(LearningRate(config, 200, 0), 1e-3 / 20) << kind;
    EXPECT_DOUBLE_EQ(LearningRate(config, 200, 9), 1e-3 / 2) << kind;
    EXPECT_DOUBLE_EQ(LearningRate(config, 200, 19), 1e-3) << kind;
    EXPECT_DOUBLE_EQ(LearningRate(config, 200, 20), 1e-3) << kind;
  }
}

TEST(LearningRateTest, CosineIsHalfWayInTheMiddleAndEndsAtTheFinalRate) {
  const OptimizerConfig config = Config("cosine", 20);
  EXPECT_DOUBLE_EQ(LearningRate(config, 200, 110), (1e-3 + 1e-4) / 2);
  // A third of the way: cos(pi / 3) = 1/2.
  EXPECT_DOUBLE_EQ(LearningRate(config, 200, 80), 1e-4 + 0.75 * 9e-4);
  EXPECT_GT(LearningRate(config, 200, 199), 1e-4);
  EXPECT_LT(LearningRate(config, 200, 199), 1.001e-4);
  EXPECT_DOUBLE_EQ(LearningRate(config, 200, 200), 1e-4);
}

TEST(LearningRateTest, LinearFallsEvenly) {
  const OptimizerConfig config = Config("linear", 0);
  EXPECT_DOUBLE_EQ(LearningRate(config, 100, 0), 1e-3);
  EXPECT_DOUBLE_EQ(LearningRate(config, 100, 25), 1e-4 + 0.75 * 9e-4);
  EXPECT_DOUBLE_EQ(LearningRate(config, 100, 99), 1e-4 + 0.01 * 9e-4);
  EXPECT_DOUBLE_EQ(LearningRate(config, 100, 1000), 1e-4);
}

TEST(LearningRateTest, ConstantStays) {
  const OptimizerConfig config = Config("constant", 5);
  for (int64_t step : {5, 50, 99, 100, 1000}) EXPECT_EQ(LearningRate(config, 100, step), 1e-3);
}

TEST(LearningRateTest, WarmUpAsLongAsTheRunOrLongerIsAllOfIt) {
  for (int64_t warmup : {10, 40}) {
    const OptimizerConfig config = Config("cosine", warmup);
    EXPECT_DOUBLE_EQ(LearningRate(config, 10, 9), 1e-3 * 10 / warmup);
  }
  EXPECT_DOUBLE_EQ(LearningRate(Config("cosine", 10), 10, 10), 1e-4);
}

}  // namespace
}  // namespace stowage
