#include "trainer/optimizer/optimizer.h"

#include <cstring>

#include "gtest/gtest.h"
#include "kernels/adamw.h"
#include "kernels/bf16.h"

namespace stowage {
namespace {

OptimizerConfig Config(const char* kind) {
  OptimizerConfig config;
  config.kind = kind;
  config.lr = 0.01;
  config.weight_decay = 0.1;
  return config;
}

std::unique_ptr<Optimizer> Make(const OptimizerConfig& config) {
  auto optimizer = MakeOptimizer(config);
  EXPECT_TRUE(optimizer.ok()) << optimizer.status();
  return std::move(optimizer).value();
}

// Parameters, gradients and states of one buffer, with values that differ everywhere.
struct Buffers {
  Buffers(const Optimizer& optimizer, int64_t numel) : parameters(numel), gradients(numel) {
    for (int64_t i = 0; i < numel; ++i) {
      parameters[i] = 0.5f - static_cast<float>(i % 101) / 100;
      gradients[i] = static_cast<float>(i % 37) / 37 - 0.4f;
    }
    states.assign(optimizer.state_tensors().size(), std::vector<float>(numel, 0.0f));
  }

  void Update(const Optimizer& optimizer, const std::vector<OptimizerRange>& ranges, const UpdateScalars& scalars,
              int64_t offset = 0) {
    std::vector<float*> pointers;
    for (auto& state : states) pointers.push_back(state.data() + offset);
    optimizer.Update(parameters.data() + offset, gradients.data() + offset, pointers, ranges, scalars);
  }

  bool operator==(const Buffers& other) const { return parameters == other.parameters && states == other.states; }

  std::vector<float> parameters, gradients;
  std::vector<std::vector<float>> states;
};

UpdateScalars Scalars(int64_t step) {
  UpdateScalars scalars;
  scalars.lr = 0.01;
  scalars.step = step;
  scalars.gradient_scale = 0.25;
  return scalars;
}

TEST(MakeOptimizerTest, StatesHavePyTorchsNames) {
  EXPECT_EQ(Make(Config("adamw"))->state_tensors(), (std::vector<std::string>{"exp_avg", "exp_avg_sq"}));
  EXPECT_EQ(Make(Config("sgd"))->state_tensors(), (std::vector<std::string>{"momentum_buffer"}));
  OptimizerConfig without_momentum = Config("sgd");
  without_momentum.momentum = 0.0;
  EXPECT_TRUE(Make(without_momentum)->state_tensors().empty());
}

TEST(MakeOptimizerTest, UnknownKindsAreRefusedByName) {
  const auto lion = MakeOptimizer(Config("lion"));
  EXPECT_EQ(lion.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(lion.status().message().find("'lion'; write adamw or sgd"), absl::string_view::npos);
  OptimizerConfig config = Config("adamw");
  config.schedule.kind = "step";
  EXPECT_NE(MakeOptimizer(config).status().message().find("'step'"), absl::string_view::npos);
}

TEST(OptimizerTest, RangesGetTheirOwnLearningRateAndDecay) {
  const OptimizerConfig config = Config("adamw");
  const auto optimizer = Make(config);
  Buffers buffers(*optimizer, 100);
  Buffers expected = buffers;
  buffers.Update(*optimizer, {{0, 40, 1.0, true}, {40, 100, 0.5, false}}, Scalars(3));
  kernels::AdamWOptions options;
  options.beta1 = config.beta1;
  options.beta2 = config.beta2;
  options.eps = config.eps;
  options.step = 3;
  options.gradient_scale = 0.25;
  options.lr = 0.01;
  options.weight_decay = 0.1;
  kernels::AdamW(expected.parameters.data(), expected.gradients.data(), expected.states[0].data(),
                 expected.states[1].data(), 40, options);
  options.lr = 0.005;
  options.weight_decay = 0.0;
  kernels::AdamW(expected.parameters.data() + 40, expected.gradients.data() + 40, expected.states[0].data() + 40,
                 expected.states[1].data() + 40, 60, options);
  EXPECT_TRUE(buffers == expected);
}

TEST(OptimizerTest, ElementsOutsideTheRangesStay) {
  for (const char* kind : {"adamw", "sgd"}) {
    const auto optimizer = Make(Config(kind));
    Buffers buffers(*optimizer, 64);
    const Buffers before = buffers;
    buffers.Update(*optimizer, {{3, 10}, {20, 20}, {33, 50}}, Scalars(1));
    for (int64_t i = 0; i < 64; ++i) {
      const bool inside = (i >= 3 && i < 10) || (i >= 33 && i < 50);
      EXPECT_EQ(buffers.parameters[i] != before.parameters[i], inside) << kind << " " << i;
      EXPECT_EQ(buffers.states[0][i] != 0.0f, inside) << kind << " " << i;
    }
  }
}

TEST(OptimizerTest, ShardsUpdatedApartHaveTheBitsOfTheWhole) {
  constexpr int64_t kNumel = 100003;
  for (const char* kind : {"adamw", "sgd"}) {
    const auto optimizer = Make(Config(kind));
    Buffers whole(*optimizer, kNumel);
    Buffers shards = whole;
    for (int64_t step = 1; step <= 3; ++step) {
      whole.Update(*optimizer, {{0, kNumel}}, Scalars(step));
      for (int64_t begin : {0, 33344, 66688}) {
        shards.Update(*optimizer, {{0, std::min<int64_t>(33344, kNumel - begin)}}, Scalars(step), begin);
      }
    }
    EXPECT_TRUE(whole == shards) << kind;
  }
}

TEST(OptimizerTest, RangeLongerThanAPieceIsUpdatedOnceEverywhere) {
  OptimizerConfig config = Config("sgd");
  config.momentum = 0.0;
  const auto optimizer = Make(config);
  const int64_t numel = kUpdatePieceNumel + 1003;
  std::vector<float> parameters(numel, 1.0f);
  const std::vector<float> gradients(numel, 4.0f);
  optimizer->Update(parameters.data(), gradients.data(), {}, {{0, numel, 1.0, false}}, Scalars(1));
  const float expected = 1.0f + -0.01f * 1.0f;
  for (int64_t i = 0; i < numel; ++i) ASSERT_EQ(parameters[i], expected) << i;
}

TEST(OptimizerTest, ARangesCopyInBf16IsItsNewValuesRoundedOverPieces) {
  for (const char* kind : {"adamw", "sgd"}) {
    const auto optimizer = Make(Config(kind));
    const int64_t numel = kUpdatePieceNumel + 1003;
    Buffers plain(*optimizer, numel);
    Buffers copied = plain;
    std::vector<uint16_t> copy(numel - 7, 0xffff);
    plain.Update(*optimizer, {{0, 7}, {7, numel}}, Scalars(1));
    copied.Update(*optimizer, {{0, 7}, {7, numel, 1.0, true, copy.data()}}, Scalars(1));
    EXPECT_TRUE(plain == copied) << kind;  // asking for a copy changes nothing else
    for (int64_t i = 7; i < numel; ++i) {
      ASSERT_EQ(copy[i - 7], kernels::Fp32ToBf16(copied.parameters[i])) << kind << " " << i;
    }
  }
}

TEST(OptimizerDeathTest, OverlappingRangesAndMissingStatesAreBugs) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto optimizer = Make(Config("sgd"));
  Buffers buffers(*optimizer, 64);
  EXPECT_DEATH(buffers.Update(*optimizer, {{0, 10}, {9, 20}}, Scalars(1)), "range \\[9, 20\\) after 10");
  EXPECT_DEATH(optimizer->Update(buffers.parameters.data(), buffers.gradients.data(), {}, {{0, 1}}, Scalars(1)),
               "0 states of 1");
}

}  // namespace
}  // namespace stowage
