#include "trainer/breakdown/breakdown.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

Config Llama7B() {
  Config config;
  config.model.kind = "llama";
  config.model.layers = 32;
  config.model.width = 4096;
  config.model.heads = 32;
  config.model.kv_heads = 32;
  config.model.ffn = 11008;
  config.model.vocabulary = 32000;
  config.model.context = 4096;
  config.model.tie = false;
  config.precision = "bf16";
  config.train.micro_batch = 1;
  return config;
}

TEST(BreakdownTest, SevenBillionIn16BitsIs66To156GBAndWithFp32MastersSixteenBytesEach) {
  const StateBytes half = StatesIn16Bits(7'000'000'000);
  EXPECT_EQ(half.parameters, 14'000'000'000);
  EXPECT_EQ(half.gradients, 14'000'000'000);
  EXPECT_EQ(half.optimizer, 28'000'000'000);
  EXPECT_EQ(MixedPrecisionStates(7'000'000'000).total(), 112'000'000'000);
  const std::vector<std::string> lines = SevenBillionLines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "7 B parameters, all states in 16 bits: 14 + 14 + 28 + 10...100 of activations = 66-156 GB");
  EXPECT_EQ(lines[1], "7 B parameters, fp32 master weights and Adam: 16 bytes a parameter, 112 GB and activations");
}

TEST(BreakdownTest, ParametersOfPublishedModels) {
  EXPECT_EQ(CountParameters(*SizesOf(Llama7B())).total(), 6'738'415'616);
  ModelSizes gpt2{"gpt2", 12, 768, 12, 12, 3072, 50257, 1024, true, true, true};
  EXPECT_EQ(CountParameters(gpt2).total(), 124'439'808);
}

TEST(BreakdownTest, StagesDivideAsInThePaper) {
  // Rajbhandari et al., figure 1: 7.5 B parameters, 64 ranks.
  const StateBytes whole = MixedPrecisionStates(7'500'000'000);
  EXPECT_EQ(Sharded(whole, 0, 64).total(), 120'000'000'000);
  EXPECT_NEAR(static_cast<double>(Sharded(whole, 1, 64).total()), 31.4e9, 0.05e9);
  EXPECT_NEAR(static_cast<double>(Sharded(whole, 2, 64).total()), 16.6e9, 0.05e9);
  EXPECT_NEAR(static_cast<double>(Sharded(whole, 3, 64).total()), 1.9e9, 0.05e9);
}

TEST(BreakdownTest, ALayerInTheLiteratureIsSbhTimes34And5AsOverH) {
  ModelSizes sizes{"gpt2", 1, 512, 8, 8, 2048, 1000, 256, true, true, true};
  const ActivationBytes bytes = ActivationsInTheLiterature(sizes, 4, 2);
  const int64_t sbh = 256 * 4 * 512;
  EXPECT_EQ(bytes.total() - bytes.embeddings - bytes.head, 34 * sbh + 5 * 8 * 256 * 256 * 4);
}

TEST(BreakdownTest, OwnActivationsGrowLinearlyWithTheContextAndTheLiteraturesDoNot) {
  ModelSizes sizes{"gpt2", 2, 512, 8, 8, 2048, 1000, 256, true, true, true};
  const int64_t own = OwnActivations(sizes, 1, 2).total();
  const int64_t literature = ActivationsInTheLiterature(sizes, 1, 2).total();
  sizes.context = 1024;
  EXPECT_EQ(OwnActivations(sizes, 1, 2).total() - 8, 4 * (own - 8));
  EXPECT_GT(ActivationsInTheLiterature(sizes, 1, 2).total(), 5 * literature);
}

TEST(BreakdownTest, SevenBillionReplicatedFitsNoDeviceAndShardedOver64FitsEach) {
  const auto breakdown = BreakdownOf(Llama7B(), 1, nullptr);
  ASSERT_TRUE(breakdown.ok()) << breakdown.status();
  int seen = 0;
  for (const StageRow& row : breakdown->formula->stages) {
    if (row.stage == 0) {
      EXPECT_FALSE(row.fits[0] || row.fits[1] || row.fits[2]);
      ++seen;
    }
    if (row.stage == 3 && row.ranks == 64) {
      EXPECT_EQ(row.fits[1], row.total <= 80'000'000'000);
      EXPECT_TRUE(row.fits[1] && row.fits[2]);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 2);
}

TEST(BreakdownTest, RehearsedNumbersStandBesideTheFormulaAndMissingOnesAreDashes) {
  Prediction prediction;
  prediction.phases.resize(2);
  prediction.phases[0] = {"first step", {{"parameters", 1}}, 1, ""};
  prediction.phases[1] = {"step", {{"parameters", 27'000'000'000}, {"gradients", 26'900'000'000}}, 0, ""};
  const auto breakdown = BreakdownOf(Llama7B(), 64, &prediction);
  ASSERT_TRUE(breakdown.ok()) << breakdown.status();
  const std::string text = absl::StrJoin(BreakdownLines(*breakdown), "\n");
  EXPECT_TRUE(absl::StrContains(text, "gradients                  27.0         26.9\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "formula, not rehearsed")) << text;
  EXPECT_EQ(BreakdownJson(*breakdown)["rehearsed"].count("activations"), 0u);
  EXPECT_EQ(BreakdownJson(*breakdown)["formula"]["parameter_count"], 6'738'415'616);
}

TEST(BreakdownTest, AKindWithoutAFormulaSaysSo) {
  Config config;
  config.model.kind = "cnn";
  config.train.micro_batch = 8;
  const auto breakdown = BreakdownOf(config, 2, nullptr);
  ASSERT_TRUE(breakdown.ok()) << breakdown.status();
  EXPECT_FALSE(breakdown->formula.has_value());
  const std::string text = absl::StrJoin(BreakdownLines(*breakdown), "\n");
  EXPECT_TRUE(absl::StrContains(text, "as rehearsed only: there is no formula for cnn")) << text;
  EXPECT_EQ(BreakdownJson(*breakdown).count("formula"), 0u);
}

TEST(BreakdownTest, WhatTheFormulaDoesNotKnowIsNotGuessed) {
  Config config = Llama7B();
  config.fp32_segments = {"head"};
  EXPECT_FALSE(BreakdownOf(config, 1, nullptr)->formula->activations.has_value());
  config = Llama7B();
  config.model.attention = "fused";
  EXPECT_TRUE(BreakdownOf(config, 1, nullptr)->formula->activations.has_value());
  config.model.kv_heads = 8;
  EXPECT_FALSE(BreakdownOf(config, 1, nullptr)->formula->activations.has_value());
}

TEST(BreakdownTest, SumsWithTheLiteraturesActivationsAreLabelled) {
  const auto said = [](const Config& config) {
    const auto breakdown = BreakdownOf(config, 8, nullptr);
    const std::string text = absl::StrJoin(BreakdownLines(*breakdown), "\n");
    const bool stages = absl::StrContains(text, "activations here are the literature's");
    EXPECT_EQ(absl::StrContains(text, "with the literature's activations)"), stages) << text;
    EXPECT_EQ(BreakdownJson(*breakdown)["formula"]["activations_source"], stages ? "literature" : "this run");
    return stages;
  };
  Config config = Llama7B();
  EXPECT_FALSE(said(config));
  config.fp32_segments = {"head"};
  EXPECT_TRUE(said(config));
  config = Llama7B();
  config.model.attention = "fused";
  config.model.kv_heads = 8;
  EXPECT_TRUE(said(config));
}

TEST(BreakdownTest, RefusesSizesThatAreStillAutoAndNoRanks) {
  Config config = Llama7B();
  EXPECT_EQ(BreakdownOf(config, 0, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
  config.model.vocabulary.reset();
  EXPECT_EQ(BreakdownOf(config, 1, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
