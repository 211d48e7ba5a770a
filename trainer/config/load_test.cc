#include "trainer/config/load.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

// The page in the design that people and scripts hold on to.
constexpr char kEveryKey[] = R"(
run:       {name: kjv-gpt, seed: 1, device: auto, threads: auto}
model:     {kind: gpt2, layers: 6, width: 384, heads: 6, context: 256}
data:      {source: kjv, tokenizer: bytes}
train:     {steps: 200, global_batch: 16, micro_batch: auto, eval_every: 50}
optimizer: {kind: adamw, lr: 1e-3, betas: [0.9, 0.95], weight_decay: 0.1, grad_clip: 1.0,
            schedule: {kind: cosine, warmup_steps: 20, final_lr: 1e-4}}
precision: fp32
memory:
  device: auto
  host: 6GiB
  disk: {limit: 40GiB, path: /scratch}
  recompute: auto
  offload: {optimizer: auto, gradients: auto, parameters: auto, activations: auto}
sharding:  {zero: auto}
checkpoint: {every: 500, keep: 3}
)";

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = (std::filesystem::path(testing::TempDir()) / test).string();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ + "/inner");
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_, "/", name);
    std::ofstream(path) << text;
    return path;
  }
  std::string folder_;
};

void ExpectRoundTrip(const Config& config) {
  const std::string yaml = ConfigToYaml(config);
  const auto again = ParseConfig(yaml, "config.yaml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_EQ(ConfigDifferences(config, *again), std::vector<std::string>()) << yaml;
  EXPECT_EQ(ConfigToYaml(*again), yaml);
}

TEST(ParseConfigTest, ReadsEverySection) {
  const auto config = ParseConfig(kEveryKey, "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->run.name, "kjv-gpt");
  EXPECT_FALSE(config->run.threads.has_value());
  EXPECT_EQ(config->model.width, 384);
  EXPECT_EQ(config->data.source, "kjv");
  EXPECT_EQ(config->train.steps, 200);
  EXPECT_FALSE(config->train.micro_batch.has_value());
  EXPECT_EQ(config->train.eval_every, 50);
  EXPECT_EQ(config->optimizer.lr, 1e-3);
  EXPECT_EQ(config->optimizer.beta2, 0.95);
  EXPECT_EQ(config->optimizer.schedule.final_lr, 1e-4);
  EXPECT_EQ(config->memory.host.kind, BudgetValue::Kind::kBytes);
  EXPECT_EQ(config->memory.host.bytes, int64_t{6} << 30);
  EXPECT_EQ(config->memory.disk_limit.bytes, int64_t{40} << 30);
  EXPECT_EQ(config->memory.disk_path, "/scratch");
  EXPECT_EQ(config->memory.recompute, "auto");
  EXPECT_EQ(config->checkpoint.every, 500);
  EXPECT_FALSE(config->checkpoint.every_minutes.has_value());
  ExpectRoundTrip(*config);
}

TEST(ParseConfigTest, WhatIsNotWrittenHasTheDefaultOfTheStruct) {
  const auto config = ParseConfig("data: {source: kjv}\ntrain: {steps: 1}\nmodel:\n", "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  Config expected;
  expected.data.source = "kjv";
  expected.train.steps = 1;
  EXPECT_EQ(ConfigDifferences(*config, expected), std::vector<std::string>());
}

TEST(ParseConfigTest, AliasesAndQuotedWordsAreRead) {
  const auto config = ParseConfig(
      "run: {name: &n \"first\"}\ndata: {train: [*n, \"none\"], validation: 'x y.txt', field: *n}\n"
      "train: {epochs: 2}\n",
      "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data.train, (std::vector<std::string>{"first", "none"}));
  EXPECT_EQ(config->data.validation, std::vector<std::string>{"x y.txt"});
  EXPECT_EQ(config->data.field, "first");
  EXPECT_EQ(config->train.epochs, 2);
  EXPECT_FALSE(config->train.steps.has_value());
}

TEST(ParseConfigTest, SegmentsThatStayInFp32AreANameOrAListWithPatterns) {
  const struct {
    const char* written;
    std::vector<std::string> expected;
  } cases[] = {{"head", {"head"}}, {"[]", {}}, {"[head, '*.attn', layer.*.ffn]", {"head", "*.attn", "layer.*.ffn"}}};
  for (const auto& c : cases) {
    const auto config = ParseConfig(
        absl::StrCat("data: {source: kjv}\ntrain: {steps: 1}\nprecision: bf16\nfp32_segments: ", c.written, "\n"), "a.yaml");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->fp32_segments, c.expected);
    ExpectRoundTrip(*config);
  }
  const auto map =
      ParseConfig("data: {source: kjv}\ntrain: {steps: 1}\nfp32_segments: {head: true}\n", "a.yaml");
  EXPECT_TRUE(absl::StrContains(map.status().message(), "fp32_segments: must be a name or a list of names"))
      << map.status();
}

TEST(ParseConfigTest, RecomputeAndBudgetsTakeAllTheirForms) {
  const struct {
    const char* set;
    const char* line;  // of ConfigToYaml
  } cases[] = {
      {"memory.recompute={every: 3}", "  recompute: {every: 3}\n"},
      {"memory.recompute=[layer0.attention, layer1.ffn]", "  recompute: [layer0.attention, layer1.ffn]\n"},
      {"memory.recompute=['a b']", "  recompute: [\"a b\"]\n"},
      {"memory.recompute=sqrt2", "  recompute: sqrt2\n"},
      {"memory.device=80%", "  device: 80%\n"},
      {"memory.device=12.5%", "  device: 12.5%\n"},
      {"memory.device='512 MiB'", "  device: 512MiB\n"},
      {"memory.device=1.5GB", "  device: 1500000000\n"},
      {"optimizer.lr=3e-5", "  lr: 3.0e-5\n"},
      {"optimizer.betas=[0.9, .999]", "  betas: [0.9, 0.999]\n"},
      {"data.source=none", "  source: none\n"},
      {"train.eval_sequences=all", "  eval_sequences: all\n"},
      {"checkpoint.every_minutes=0.5", "  every_minutes: 0.5\n"},
      {"data.field=null", nullptr},
  };
  for (const auto& c : cases) {
    const auto config = ParseConfig("data: {train: a}\ntrain: {steps: 9}\n", "a.yaml", {c.set});
    if (c.line == nullptr) {
      EXPECT_FALSE(config.ok()) << c.set;
      continue;
    }
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_TRUE(absl::StrContains(ConfigToYaml(*config), c.line)) << c.set << "\n" << ConfigToYaml(*config);
    ExpectRoundTrip(*config);
  }
}

TEST(ParseConfigTest, LaterSetsWinAndMakeSectionsThatTheFileLacks) {
  const auto config =
      ParseConfig("data: {source: kjv}\n", "a.yaml",
                  {"train.steps=5", "train.steps=6", "model={layers: 2, heads: 4}", "model.heads=2", "run.name=a=b"});
  EXPECT_TRUE(absl::StrContains(config.status().message(), "--set run.name=a=b: run.name")) << config.status();
  const auto good = ParseConfig("data: {source: kjv}\n", "a.yaml",
                                {"train.steps=5", "train.steps=6", "model={layers: 2, heads: 4}", "model.heads=2"});
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->train.steps, 6);
  EXPECT_EQ(good->model.layers, 2);
  EXPECT_EQ(good->model.heads, 2);
}

TEST(ParseConfigTest, EnvironmentGoesIntoPathsOnlyAndUnsetNamesAreErrors) {
  setenv("STOWAGE_TEST_DIR", "/data/x", 1);
  unsetenv("STOWAGE_TEST_UNSET");
  const std::string base = "train: {steps: 1}\n";
  const auto config =
      ParseConfig(base +
                      "data: {train: [\"${STOWAGE_TEST_DIR}/a.txt\", \"$${X}\"], cache: \"${STOWAGE_TEST_DIR}\", "
                      "field: \"${STOWAGE_TEST_DIR}\"}\n",
                  "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data.train, (std::vector<std::string>{"/data/x/a.txt", "${X}"}));
  EXPECT_EQ(config->data.cache, "/data/x");
  EXPECT_EQ(config->data.field, "${STOWAGE_TEST_DIR}") << "not a path";
  ExpectRoundTrip(*config);

  EXPECT_EQ(ParseConfig(base + "data: {train: \"${STOWAGE_TEST_UNSET}/a\"}\n", "a.yaml").status().message(),
            "a.yaml:2:15: data.train: the environment variable \"STOWAGE_TEST_UNSET\" is not set");
  EXPECT_TRUE(absl::StrContains(ParseConfig(base + "data: {train: \"${OPEN\"}\n", "a.yaml").status().message(),
                                "does not close it"));
}

TEST_F(ConfigFiles, IncludesMergeMapsReplaceListsAndLaterKeysWin) {
  Write("base.yaml", "model: {layers: 2, width: 8, heads: 2}\noptimizer: {betas: [0.5, 0.6], lr: 0.1}\n");
  Write("inner/data.yaml", "include: ../train.yaml\ndata: {train: [a, b]}\nmodel: {layers: 3}\n");
  Write("train.yaml", "train: {steps: 7}\n");
  const std::string top = Write("top.yaml",
                                "optimizer: {betas: [0.7, 0.8]}\ndata: {train: [c]}\n"
                                "include: [base.yaml, inner/data.yaml]\n");
  const auto config = LoadConfig(top, {"model.width=16"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model.layers, 3) << "the later include wins";
  EXPECT_EQ(config->model.heads, 2);
  EXPECT_EQ(config->model.width, 16) << "--set wins over all";
  EXPECT_EQ(config->optimizer.lr, 0.1) << "maps merge";
  EXPECT_EQ(config->optimizer.beta1, 0.7) << "the file wins over its includes, wherever the line stands";
  EXPECT_EQ(config->data.train, std::vector<std::string>{"c"}) << "lists replace";
  EXPECT_EQ(config->train.steps, 7) << "includes are relative to the file that names them";
}

TEST_F(ConfigFiles, AnErrorInAnIncludedFileHasThatFilesPlace) {
  const std::string base = Write("base.yaml", "model:\n  layers: none\n");
  const std::string top = Write("top.yaml", "include: base.yaml\n");
  EXPECT_EQ(LoadConfig(top, {}).status().message(),
            absl::StrCat(base, ":2:11: model.layers: must be a whole number, found none"));
}

TEST_F(ConfigFiles, AContradictionBetweenFilesNamesBoth) {
  const std::string base = Write("base.yaml", "train: {steps: 3}\ndata: {source: kjv}\n");
  const std::string top = Write("top.yaml", "include: base.yaml\ntrain: {epochs: 1}\n");
  EXPECT_EQ(LoadConfig(top, {}).status().message(),
            absl::StrCat(top, ":2:17: train.epochs and train.steps are both given; keep one (steps: none unsets it) ",
                         "(train.steps is at ", base, ":1:16)"));
  EXPECT_TRUE(LoadConfig(top, {"train.steps=none"}).ok());
}

TEST_F(ConfigFiles, AMissingIncludeNamesBothFiles) {
  const std::string top = Write("top.yaml", "\ninclude: gone.yaml\n");
  const auto status = LoadConfig(top, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            absl::StrCat(top, ":2:10: include: ", folder_, "/gone.yaml: cannot be read: No such file or directory"));
}

TEST_F(ConfigFiles, AnIncludeThatComesBackIsRefusedWithTheWay) {
  const std::string a = Write("a.yaml", "include: inner/b.yaml\n");
  const std::string b = Write("inner/b.yaml", "include: ../a.yaml\n");
  EXPECT_EQ(LoadConfig(a, {}).status().message(),
            absl::StrCat(b, ":1:10: include: goes round in a circle: ", a, " -> ", b, " -> ", a));
  const std::string self = Write("self.yaml", "include: self.yaml\n");
  EXPECT_TRUE(absl::StrContains(LoadConfig(self, {}).status().message(), "goes round in a circle"));
}

TEST_F(ConfigFiles, AnIncludeThatIsNoPathIsRefused) {
  const std::string top = Write("top.yaml", "include: {a: b}\n");
  EXPECT_EQ(LoadConfig(top, {}).status().message(),
            absl::StrCat(top, ":1:10: include: must be a path or a list of paths, found a map"));
}

TEST_F(ConfigFiles, TheSameFileMayBeIncludedTwiceWithoutACircle) {
  Write("base.yaml", "data: {source: kjv}\ntrain: {steps: 3}\n");
  Write("b.yaml", "include: base.yaml\nmodel: {layers: 2}\n");
  const std::string top = Write("top.yaml", "include: [base.yaml, b.yaml]\n");
  const auto config = LoadConfig(top, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model.layers, 2);
}

TEST(ConfigToYamlTest, OddTextsComeBackAsTheyWere) {
  Config config;
  config.train.steps = 3;
  for (const char* odd :
       {"none", "auto", "a b",   "a,b", "[x]",         "{x}",         "# x",  "- x",   "x: y", "1",     "1e3",   "true",
        "~",    "null", "\"q\"", "'q'", "back\\slash", "line\nbreak", "${X}", "$${X}", "$",    "%x",    "*x",    "&x",
        "!x",   "|",    ">",     "@x",  "`x`",         "ä/ö",         "-",    "?",     ":",    " lead", "trail "}) {
    SCOPED_TRACE(odd);
    config.data.train = {odd, "second"};
    config.data.cache = odd;
    config.data.field = odd;
    config.memory.disk_path = odd;
    ExpectRoundTrip(config);
  }
}

TEST(ConfigToYamlTest, NumbersComeBackToTheBit) {
  Config config;
  config.train.steps = 3;
  config.data.source = "kjv";
  for (double odd : {1e-3, 1.0 / 3.0, 1e-300, 5e-324, 999.9999999999999, 3e-5, 1e2, 0.1 + 0.2}) {
    config.optimizer.lr = odd;
    ExpectRoundTrip(config);
  }
}

TEST(ConfigDifferencesTest, NamesEachKeyWithBothValues) {
  Config here;
  Config there;
  there.train.global_batch = 32;
  there.optimizer.beta2 = 0.999;
  there.memory.host = {BudgetValue::Kind::kPercent, 0, 80.0};
  EXPECT_EQ(ConfigDifferences(here, there),
            (std::vector<std::string>{"train.global_batch: 16 here, 32 there",
                                      "optimizer.betas: [0.9, 0.95] here, [0.9, 0.999] there",
                                      "memory.host: auto here, 80% there"}));
}

TEST(LoadTest, ProductionMakesHostHalfUnlessTheConfigSaysOtherwise) {
  const std::string text = "data: {source: kjv}\ntrain: {steps: 1}\npreset: [by_memory, production]\n";
  const auto config = ParseConfig(text, "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->memory.host.kind, BudgetValue::Kind::kPercent);
  EXPECT_EQ(config->memory.host.percent, 50.0);
  EXPECT_EQ(ParseConfig(text + "memory: {host: 3GiB}\n", "a.yaml")->memory.host.bytes, int64_t{3} << 30);
  EXPECT_EQ(ParseConfig(text + "memory: {host: auto}\n", "a.yaml")->memory.host.kind, BudgetValue::Kind::kAuto);
  // What was written resolved means the same again.
  const auto again = ParseConfig(ConfigToYaml(*config), "again.yaml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(ConfigDifferences(*config, *again).empty());
}

TEST(LoadTest, PresetsAreOneOrAListAndDecideNothingElse) {
  const std::string text = "data: {source: kjv}\ntrain: {steps: 1}\n";
  const auto config = ParseConfig(text + "preset: transformer\n", "a.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->preset, std::vector<std::string>{"transformer"});
  const auto without = ParseConfig(text, "a.yaml");
  EXPECT_EQ(ConfigDifferences(*config, *without).size(), 1u);
}

}  // namespace
}  // namespace stowage
