#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "trainer/config/load.h"

namespace stowage {
namespace {

constexpr char kBase[] = "data: {source: kjv}\ntrain: {steps: 5}\n";

DataShape Tokens(int64_t vocabulary) {
  DataShape data;
  data.vocabulary = vocabulary;
  return data;
}

absl::StatusOr<Config> Resolved(const std::vector<std::string>& sets, int64_t data_vocabulary = 256) {
  absl::StatusOr<Config> config = ParseConfig(kBase, "a.yaml", sets);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? ResolveConfig(*config, Tokens(data_vocabulary)) : config;
}

TEST(ResolveConfigTest, FillsEveryAutoByTheDocumentedRule) {
  const auto config = Resolved({});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->run.device, "cpu");
  EXPECT_FALSE(config->run.threads.has_value()) << "decided at launch";
  EXPECT_EQ(config->model.ffn, 4 * 384);
  EXPECT_EQ(config->model.vocabulary, 256);
  EXPECT_EQ(config->train.micro_batch, 16);
  EXPECT_EQ(config->train.reduce_per, "update");
  EXPECT_EQ(config->memory.recompute, "none");
  EXPECT_EQ(config->memory.offload.optimizer, "device");
  EXPECT_EQ(config->memory.offload.activations, "device");
  EXPECT_EQ(config->sharding.zero, 0);
  EXPECT_EQ(config->sharding.backend, "auto") << "depends on the launcher";
}

TEST(ResolveConfigTest, AutoMicroBatchIsTheLargestDivisorWithinTheBounds) {
  const struct {
    int64_t global_batch, context, micro_batch;
  } cases[] = {{16, 256, 16}, {16, 257, 8},   {32, 128, 16}, {24, 64, 12}, {7, 64, 7},    {34, 64, 2},  {37, 64, 1},
               {4, 1024, 4},  {4, 100000, 1}, {1, 8, 1},     {8, 1024, 4}, {480, 64, 16}, {5, 1024, 1}, {6, 1024, 3}};
  for (const auto& c : cases) {
    const auto config =
        Resolved({absl::StrCat("train.global_batch=", c.global_batch), absl::StrCat("model.context=", c.context)});
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->train.micro_batch, c.micro_batch) << c.global_batch << " x " << c.context;
  }
}

TEST(ResolveConfigTest, WhatIsGivenStays) {
  const auto config = Resolved({"model.ffn=100", "model.vocabulary=300", "train.micro_batch=2", "sharding.zero=0",
                                "train.reduce_per=update", "memory.recompute=none", "run.device=cpu",
                                "sharding.backend=mpi", "run.threads=3"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model.ffn, 100);
  EXPECT_EQ(config->model.vocabulary, 300);
  EXPECT_EQ(config->train.micro_batch, 2);
  EXPECT_EQ(config->sharding.backend, "mpi");
  EXPECT_EQ(config->run.threads, 3);
}

TEST(ResolveConfigTest, AResolvedConfigResolvesToItselfAndComesBackFromYaml) {
  const auto once = Resolved({"optimizer.schedule.final_lr=1e-4", "data.field=x y"});
  ASSERT_TRUE(once.ok()) << once.status();
  for (int64_t data_vocabulary : {0, 256}) {
    const auto twice = ResolveConfig(*once, Tokens(data_vocabulary));
    ASSERT_TRUE(twice.ok()) << twice.status();
    EXPECT_EQ(ConfigDifferences(*once, *twice), std::vector<std::string>());
  }
  const auto again = ParseConfig(ConfigToYaml(*once), "config.yaml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ConfigDifferences(*once, *again), std::vector<std::string>());
}

TEST(ResolveConfigTest, TheVocabularyMustHoldTheDatasTokens) {
  EXPECT_EQ(Resolved({"model.vocabulary=255"}).status().message(),
            "model.vocabulary: 255, but the data holds 256 tokens; give that or more, or auto");
  EXPECT_TRUE(absl::StrContains(Resolved({}, 0).status().message(), "the data does not say"));
  EXPECT_TRUE(Resolved({"model.vocabulary=255"}, 0).ok());
}

absl::StatusOr<Config> ResolvedFor(const DataShape& data, const std::vector<std::string>& sets) {
  absl::StatusOr<Config> config = ParseConfig(kBase, "a.yaml", sets);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? ResolveConfig(*config, data) : config;
}

DataShape Samples(std::vector<int64_t> input, int64_t outputs, bool classes) {
  DataShape data;
  data.input = std::move(input);
  data.outputs = outputs;
  data.classes = classes;
  return data;
}

TEST(ResolveConfigTest, EachKindFillsItsOwnKeysOnly) {
  const auto llama = ResolvedFor(Tokens(256), {"model.kind=llama"});
  ASSERT_TRUE(llama.ok()) << llama.status();
  EXPECT_EQ(llama->model.ffn, 1024);
  EXPECT_EQ(llama->model.kv_heads, 6);
  EXPECT_EQ(llama->model.tie, false);
  EXPECT_FALSE(llama->model.norm_bias.has_value());
  EXPECT_EQ(ResolvedFor(Tokens(256), {"model.kind=llama", "model.width=4096", "model.heads=32"})->model.ffn, 11008);
  const auto gpt2 = ResolvedFor(Tokens(256), {"model.bias=false"});
  ASSERT_TRUE(gpt2.ok()) << gpt2.status();
  EXPECT_EQ(gpt2->model.tie, true);
  EXPECT_EQ(gpt2->model.norm_bias, false);
  const auto mlp = ResolvedFor(Samples({1, 28, 28}, 10, true), {"model.kind=mlp"});
  ASSERT_TRUE(mlp.ok()) << mlp.status();
  EXPECT_EQ(mlp->model.input, (std::vector<int64_t>{1, 28, 28}));
  EXPECT_EQ(mlp->model.outputs, 10);
  EXPECT_EQ(mlp->model.loss, "cross_entropy");
  EXPECT_FALSE(mlp->model.ffn.has_value() || mlp->model.tie.has_value() || mlp->model.vocabulary.has_value());
  const auto again = ParseConfig(ConfigToYaml(*mlp), "config.yaml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ConfigDifferences(*mlp, *again), std::vector<std::string>());
}

TEST(ResolveConfigTest, AutoMicroBatchOfSamplesIsBoundByTheirNumberAndSize) {
  const auto micro_batch = [](std::vector<int64_t> input, const char* global_batch) {
    return *ResolvedFor(Samples(std::move(input), 10, true), {"model.kind=mlp", global_batch})->train.micro_batch;
  };
  EXPECT_EQ(micro_batch({1, 28, 28}, "train.global_batch=128"), 128);
  EXPECT_EQ(micro_batch({1, 28, 28}, "train.global_batch=512"), 128);
  EXPECT_EQ(micro_batch({3, 224, 224}, "train.global_batch=128"), 4);
  EXPECT_EQ(micro_batch({1 << 20}, "train.global_batch=128"), 1);
}

TEST(ResolveConfigTest, DataThatIsNotForTheKindIsRefused) {
  const auto message = [](const DataShape& data, const std::vector<std::string>& sets) {
    return std::string(ResolvedFor(data, sets).status().message());
  };
  const DataShape images = Samples({1, 28, 28}, 10, true), sequences = Samples({28, 28}, 10, true);
  EXPECT_EQ(message(images, {}),
            "model.kind: gpt2 learns from text or tokens, but the data is samples of [1, 28, 28]; choose another kind "
            "or other data");
  EXPECT_EQ(message(Tokens(256), {"model.kind=cnn"}),
            "model.kind: cnn learns from images: samples of [channels, height, width], but the data is text or tokens; "
            "choose another kind or other data");
  EXPECT_TRUE(absl::StrContains(message(sequences, {"model.kind=cnn"}), "samples of [28, 28]"));
  EXPECT_TRUE(absl::StrContains(message(images, {"model.kind=rnn"}), "samples of [time, features]"));
  EXPECT_EQ(message(images, {"model.kind=mlp", "model.loss=mse"}),
            "model.loss: mse, but the data has classes; give cross_entropy or auto");
  EXPECT_EQ(message(Tokens(256), {"model.kind=rnn", "model.outputs=3"}),
            "model.outputs: is about samples that are no tokens, but the data is tokens; leave it out");
  for (const char* set : {"model.context=64", "model.vocabulary=9", "model.tie=true"}) {
    EXPECT_TRUE(absl::StrContains(message(sequences, {"model.kind=rnn", set}), "is about tokens")) << set;
  }
  EXPECT_EQ(message(sequences, {"model.kind=rnn"}), "");
  EXPECT_EQ(message(Tokens(256), {"model.kind=rnn"}), "");
}

TEST(ResolveConfigTest, WhatIsNotBuiltIsRefusedByName) {
  const struct {
    std::vector<std::string> sets;
    const char* message;
  } cases[] = {
      {{"run.device=cuda"}, "run.device: cuda is not built yet; cpu is"},
      {{"precision=fp16"}, "precision: fp16 is not built yet; fp32 and bf16 are"},
      {{"memory.device=6GiB"}, "memory.device: 6GiB is not built yet; auto is"},
      {{"memory.disk={limit: 40GiB, path: /scratch}"}, "memory.disk.limit: 40GiB is not built yet; auto is"},
      {{"memory.disk.path=/scratch"}, "memory.disk.path: /scratch is not built yet; none is"},
      {{"memory.offload.optimizer=host"}, "memory.offload.optimizer: host is not built yet; device is"},
      {{"memory.offload.activations=host"}, "memory.offload.activations: host is not built yet; device is"},
      {{"sharding.backend=nccl"}, "sharding.backend: nccl is not built yet; auto and mpi and shared_memory are"},
  };
  for (const auto& c : cases) {
    const auto status = Resolved(c.sets).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(ResolveConfigTest, AConfigFilledInByAProgramIsCheckedAsAFileIs) {
  Config config;
  config.data.source = "kjv";
  config.train.steps = 5;
  EXPECT_TRUE(ResolveConfig(config, Tokens(256)).ok());
  config.model.layers = 0;
  EXPECT_EQ(ResolveConfig(config, Tokens(256)).status().message(), "model.layers: must be 1 to 10000, found 0");
  config.model.layers = 1;
  config.model.heads = 7;
  EXPECT_EQ(ResolveConfig(config, Tokens(256)).status().message(),
            "model.width 384 is not a multiple of model.heads 7");
}

}  // namespace
}  // namespace stowage
