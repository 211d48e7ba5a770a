// Configs that are wrong: each gives its place, what was found and what to change.
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "trainer/config/load.h"

namespace stowage {
namespace {

// A config that is good apart from what is appended or replaced.
constexpr char kGoodEnd[] = "data: {source: kjv}\ntrain: {steps: 5}\n";

struct BadConfig {
  const char* text;
  const char* place;    // line:column
  const char* message;  // part of it
};

const BadConfig kBadConfigs[] = {
    // Keys that do not exist.
    {"model:\n  witdh: 384\n", "2:3", "model.witdh: no such key; did you mean model.width?"},
    {"modle: {layers: 2}\n", "1:1", "modle: no such key; did you mean model?"},
    {"optimizer:\n  schedule: {kind: cosine, warmup: 3}\n", "2:28", "optimizer.schedule.warmup: no such key"},
    {"optimizer: {warmup_steps: 3}\n", "1:13", "did you mean optimizer.schedule.warmup_steps?"},
    {"lr: 1\n", "1:1", "lr: no such key; did you mean optimizer.lr?"},
    {"run: {zzzzzzzz: 1}\n", "1:7", "run.zzzzzzzz: no such key; run has name, seed, device, threads"},
    {"qqqqqqqqq: 1\n", "1:1", "qqqqqqqqq: no such key; a config has run, model"},
    {"optimizer: {beta1: 0.9}\n", "1:13", "optimizer.beta1: no such key; did you mean optimizer.betas?"},
    // Wrong types.
    {"model: {layers: six}\n", "1:17", "model.layers: must be a whole number, found six"},
    {"model: {layers: 1.5}\n", "1:17", "model.layers: must be a whole number, found 1.5"},
    {"model: {layers: \"6\"}\n", "1:17", "model.layers: must be a whole number, found the text \"6\""},
    {"model: {layers: [6]}\n", "1:17", "model.layers: must be a whole number, found a list"},
    {"model: {layers: {a: 6}}\n", "1:17", "model.layers: must be a whole number, found a map"},
    {"model:\n  layers:\n  width: 8\n", "2:3", "model.layers: has no value; the default is 6"},
    {"model: {bias: yes}\n", "1:15", "model.bias: must be true or false, found yes"},
    {"model: 5\n", "1:8", "model: is a section with keys of its own, found 5"},
    {"optimizer: {lr: fast}\n", "1:17", "optimizer.lr: must be a number, found fast"},
    {"optimizer: {lr: nan}\n", "1:17", "optimizer.lr: must be a number, found nan"},
    {"optimizer: {betas: 0.9}\n", "1:20", "optimizer.betas: must be a list of two numbers"},
    {"optimizer: {betas: [0.9]}\n", "1:20", "found a list of 1"},
    {"data: {train: {a: b}}\n", "1:15", "data.train: must be a path or a list of paths, found a map"},
    {"run: {name: a/b}\n", "1:13", "run.name: must be a name of letters"},
    {"run: {threads: many}\n", "1:16", "run.threads: must be a whole number, or auto, found many"},
    // Out of range.
    {"model: {layers: 0}\n", "1:17", "model.layers: must be 1 to 10000, found 0"},
    {"model: {layers: -2}\n", "1:17", "model.layers: must be 1 to 10000, found -2"},
    {"run: {seed: 99999999999999999999}\n", "1:13", "run.seed: must be 0 or more, found 99999999999999999999"},
    {"optimizer: {betas: [0.9, 1.0]}\n", "1:20", "optimizer.betas: must be at least 0.0 and below 1.0, found 1.0"},
    {"optimizer: {lr: 0}\n", "1:17", "optimizer.lr: must be above 0.0"},
    {"optimizer: {lr: 1e999}\n", "1:17", "optimizer.lr: must be above 0.0"},
    {"model: {dropout: 1}\n", "1:18", "model.dropout: must be at least 0.0 and below 1.0, found 1"},
    {"preset: transfomer\n", "1:9", "preset: there is no preset transfomer; did you mean transformer?"},
    {"preset: cnn\n", "1:9", "preset: cnn is for models of another kind than model.kind gpt2; leave it out"},
    {"precision: fp8\n", "1:12", "precision: must be one of fp32, bf16, fp16, found fp8"},
    {"data: {source: kjw}\n", "1:16",
     "data.source: must be one of kjv, fashion-mnist, or none, found kjw; did you mean kjv?"},
    {"sharding: {zero: 4}\n", "1:18", "sharding.zero: must be 0 to 3, or auto, found 4"},
    {"train: {steps: 5, loss_scale: 0}\ndata: {source: kjv}\n", "1:31", "train.loss_scale: must be above 0.0"},
    {"train: {steps: 5, loss_scale: 0}\ndata: {source: kjv}\n", "1:31", ", or none, or dynamic, found 0"},
    {"train: {steps: 5, loss_scale: auto}\ndata: {source: kjv}\n", "1:31", "train.loss_scale: "},
    {"train: {steps: 5, max_skipped_steps: 0}\ndata: {source: kjv}\n", "1:38",
     "train.max_skipped_steps: must be 1 or more, found 0"},
    {"train: {steps: 5, loss_scale_start: 8,\n  loss_scale: 4}\ndata: {source: kjv}\n", "1:37",
     "train.loss_scale_start means nothing without train.loss_scale: dynamic; leave it out (train.loss_scale is at "
     "bad.yaml:2:15)"},
    {"memory: {host: 6}\n", "1:16", "memory.host: must be at least 1MiB, found 6 bytes"},
    {"memory: {host: 6G}\n", "1:16", "there is no unit \"G\""},
    {"memory: {host: 120%}\n", "1:16", "must be above 0% and at most 100%, found 120%"},
    {"memory: {host: -1GiB}\n", "1:16", "memory.host: "},
    {"memory: {host: 9e30GiB}\n", "1:16", "memory.host: "},
    {"memory: {host: 0%}\n", "1:16", "must be above 0% and at most 100%, found 0%"},
    {"memory: {host: half}\n", "1:16", "memory.host: "},
    {"memory: {host: [6GiB]}\n", "1:16", "memory.host: must be bytes such as 6GiB, a share such as 80%, or auto"},
    {"memory: {warning_threshold: 1.5}\n", "1:29", "memory.warning_threshold: must be above 0.0 and at most 1.0"},
    {"memory: {warning_threshold: 0.95}\n", "1:29",
     "memory.warning_threshold 0.95 is above memory.critical_threshold 0.9"},
    {"memory: {trace: 0}\n", "1:17", "memory.trace: must be 1 or more, or none, found 0"},
    {"memory: {recompute: some}\n", "1:21", "memory.recompute: must be one of none, every, layer"},
    {"memory: {recompute: {each: 2}}\n", "1:21", "memory.recompute: knows {every: k}, found the key each"},
    {"memory: {recompute: {every: 0}}\n", "1:21", "memory.recompute: must be 1 or more, found 0"},
    {"memory: {recompute: []}\n", "1:21", "memory.recompute: is an empty list"},
    {"checkpoint: {keep: 0}\n", "1:20", "checkpoint.keep: must be 1 or more, found 0"},
    // Contradictions, with both places where both were written.
    {"model: {width: 10,\n  heads: 3}\n", "1:16",
     "model.width 10 is not a multiple of model.heads 3 (model.heads is at bad.yaml:2:10)"},
    {"model: {heads: 5}\n", "1:16", "model.width 384 is not a multiple of model.heads 5"},
    {"model: {kind: llama, heads: 6,\n  kv_heads: 4}\n", "2:13",
     "model.kv_heads 4 does not divide model.heads 6 (model.heads is at bad.yaml:1:29)"},
    {"model: {kind: llama, width: 30, heads: 6}\n", "1:29", "an odd number of elements; rotary positions turn pairs"},
    // Keys that the kind has no use for.
    {"model: {kind: mlp,\n  heads: 4}\n", "2:10",
     "model.heads: 4 means nothing for model.kind mlp, which has layers, width, dropout, bias, input, outputs, loss; "
     "leave it out (model.kind is at bad.yaml:1:15)"},
    {"model: {cell: gru}\n", "1:15", "model.cell: gru means nothing for model.kind gpt2"},
    {"model: {kind: llama, bias: false}\n", "1:28", "model.bias: false means nothing for model.kind llama"},
    {"model: {kind: cnn, context: 64}\n", "1:29", "model.context: 64 means nothing for model.kind cnn"},
    {"model: {outputs: 10}\n", "1:18", "model.outputs: 10 means nothing for model.kind gpt2"},
    {"train: {steps: 5,\n  epochs: 1}\ndata: {source: kjv}\n", "2:11",
     "train.epochs and train.steps are both given; keep one (steps: none unsets it) (train.steps is at bad.yaml:1:16)"},
    {"train: {steps: 5, global_batch: 4,\n micro_batch: 8}\ndata: {source: kjv}\n", "2:15",
     "train.micro_batch 8 is more than train.global_batch 4 (train.global_batch is at bad.yaml:1:33)"},
    {"data: {source: kjv,\n  train: [a.txt]}\ntrain: {steps: 5}\n", "2:10", "(data.source is at bad.yaml:1:16)"},
    {"data: {source: kjv, format: jsonl}\ntrain: {steps: 5}\n", "1:29", "data.format jsonl is about files"},
    {"data: {source: kjv, validation: v.txt}\ntrain: {steps: 5}\n", "1:33", "brings its own validation part"},
    {"optimizer: {lr: 1e-4, schedule: {final_lr: 1e-3}}\n", "1:44",
     "optimizer.schedule.final_lr 0.001 is above optimizer.lr"},
    {"memory: {offload: {optimizer: disk}}\n", "1:31", "disk is given without memory.disk.path"},
    {"memory: {disk: {limit: 4GiB}}\n", "1:24", "memory.disk.limit is given without memory.disk.path"},
    {"run: {device: cpu}\nsharding: {backend: nccl}\n", "2:21",
     "needs run.device cuda, but run.device is cpu (run.device is at bad.yaml:1:15)"},
    // Not a config.
    {"model: {layers: 1}\nmodel: {width: 8}\n", "2:1",
     "\"model\" stands here a second time; the first is at bad.yaml:1:1"},
    {"model: {layers: 1, width: 8, layers: 2}\n", "1:30", "\"layers\" stands here a second time"},
    {"model: {layers: 1\nrun: {}\n", "2:4", "not valid YAML"},
    {"model: {layers: *none}\n", "1:17", "not valid YAML"},
    {"model:\n\t- layers\n", "2:2", "not valid YAML"},
    {"- model\n- run\n", "1:1", "a config is a map of sections such as \"model:\", found a list"},
    {"model\n", "1:1", "a config is a map of sections such as \"model:\", found model"},
    {"run: {}\n---\nrun: {}\n", "3:1", "a second document begins"},
    {"? [a, b]\n: 1\n", "1:3", "a key must be a word, found a list"},
    {"include: other.yaml\n", "1:1", "include: works in files only"},
};

TEST(BadConfigTest, EachSaysWhereAndWhatAndWhatIsAllowed) {
  for (const BadConfig& bad : kBadConfigs) {
    SCOPED_TRACE(bad.text);
    // What a text does not bring itself comes from the end, so that only the planted fault is there.
    std::string text = bad.text;
    if (!absl::StrContains(text, "data:") && !absl::StrContains(text, "include") && !absl::StartsWith(text, "- ") &&
        !absl::StrContains(text, "---") && text != "model\n") {
      absl::StrAppend(&text, kGoodEnd);
    } else if (absl::StrContains(text, "data:") && !absl::StrContains(text, "train: {steps")) {
      absl::StrAppend(&text, "train: {steps: 5}\n");
    }
    const auto config = ParseConfig(text, "bad.yaml");
    ASSERT_FALSE(config.ok());
    const std::string message(config.status().message());
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(message.substr(0, message.find(": ")), absl::StrCat("bad.yaml:", bad.place)) << message;
    EXPECT_TRUE(absl::StrContains(message, bad.message)) << message << "\nshould hold: " << bad.message;
    EXPECT_FALSE(absl::StrContains(message, "\n")) << "one line: " << message;
  }
}

TEST(BadConfigTest, WhatIsMissingAltogetherIsSaidWithTheFile) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"data: {source: kjv}\n", "bad.yaml: train: neither steps nor epochs is given; give one of them"},
      {"train: {steps: 5}\n", "bad.yaml: data: nothing to learn from; give data.source (kjv) or data.train (paths)"},
      {"", "bad.yaml:1:1: the file is empty; a config starts with sections such as \"model:\""},
      {"# nothing but this\n", "bad.yaml:1:1: the file is empty; a config starts with sections such as \"model:\""},
  };
  for (const auto& c : cases) EXPECT_EQ(ParseConfig(c.text, "bad.yaml").status().message(), c.message);
}

TEST(BadConfigTest, AliasesCannotBlowUpATree) {
  std::string text = "a: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int i = 1; i < 12; ++i) {
    absl::StrAppend(&text, "b", i, ": &x", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&text, j == 0 ? "" : ", ", "*x", i - 1);
    absl::StrAppend(&text, "]\n");
  }
  EXPECT_TRUE(absl::StrContains(ParseConfig(text, "bad.yaml").status().message(), "more than 100000 values"));
}

TEST(BadConfigTest, DeepNestingIsAnErrorAndNoCrash) {
  EXPECT_FALSE(ParseConfig(absl::StrCat("a: ", std::string(100000, '[')), "bad.yaml").ok());
}

TEST(BadConfigTest, FilesThatCannotBeReadAreNamed) {
  EXPECT_EQ(LoadConfig("/nowhere/a.yaml", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadConfig("/nowhere/a.yaml", {}).status().message(),
            "/nowhere/a.yaml: cannot be read: No such file or directory");
  const std::string folder = testing::TempDir();
  EXPECT_EQ(LoadConfig(folder, {}).status().message(), absl::StrCat(folder, ": is a folder, not a config file"));
  const std::string large = absl::StrCat(folder, "/large.yaml");
  std::ofstream(large) << std::string(5 << 20, '#');
  EXPECT_EQ(LoadConfig(large, {}).status().message(), absl::StrCat(large, ": is larger than 4 MiB: this is no config"));
}

TEST(BadConfigTest, SetsAreNamedAsTheyWereTyped) {
  const struct {
    const char* set;
    const char* message;
  } cases[] = {
      {"train.steps=-1", "--set train.steps=-1: train.steps: must be 1 or more, or none, found -1"},
      {"train.stps=1", "--set train.stps=1: train.stps: no such key; did you mean train.steps?"},
      {"train.steps", "--set train.steps: has no \"=\"; write --set key.path=value, for example --set train.steps=100"},
      {"train..steps=1", "--set train..steps=1: has an empty key; write --set key.path=value"},
      {"=1", "--set =1: has an empty key; write --set key.path=value"},
      {"train=1", "--set train=1: train: is a section with keys of its own, found 1"},
      {"train.steps=", "--set train.steps=: train.steps: must be a whole number, or none, found the text \"\""},
      {"include=a.yaml", "--set include=a.yaml: include belongs in a file, not in --set"},
  };
  for (const auto& c : cases) EXPECT_EQ(ParseConfig(kGoodEnd, "a.yaml", {c.set}).status().message(), c.message);
  EXPECT_TRUE(absl::StrContains(ParseConfig(kGoodEnd, "a.yaml", {"optimizer.betas=[0.9"}).status().message(),
                                "--set optimizer.betas=[0.9"));
}

TEST(BadConfigTest, AContradictionBetweenFileAndSetNamesBoth) {
  EXPECT_EQ(ParseConfig(kGoodEnd, "a.yaml", {"train.epochs=1"}).status().message(),
            "--set train.epochs=1: train.epochs and train.steps are both given; keep one (steps: none unsets it) "
            "(train.steps is at a.yaml:2:16)");
}

}  // namespace
}  // namespace stowage
