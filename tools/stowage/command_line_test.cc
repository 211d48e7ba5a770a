#include "tools/stowage/command_line.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/exit_code.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tools/stowage/exit_codes.h"
#include "tools/stowage/found.h"
#include "trainer/config/load.h"

namespace stowage {
namespace {

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
};

Ran RunWords(std::vector<std::string> words, const std::vector<Command>& commands = Commands()) {
  words.insert(words.begin(), "stowage");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.code = RunCommandLine(static_cast<int>(words.size()), argv.data(), commands);
  ran.err = testing::internal::GetCapturedStderr();
  ran.out = testing::internal::GetCapturedStdout();
  return ran;
}

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(testing::TempDir(), "/", name);
  std::ofstream(path) << text;
  return path;
}

std::string GoodConfig() { return Write("good.yaml", "data: {source: kjv}\ntrain: {steps: 5}\n"); }

void ExpectOneLineOnStderr(const Ran& ran, const std::string& part) {
  EXPECT_TRUE(absl::StartsWith(ran.err, "stowage: ")) << ran.err;
  EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.err, part)) << ran.err << "should hold: " << part;
  EXPECT_EQ(ran.out, "");
}

TEST(CommandLineTest, EveryCommandTeachesWithAnExampleAndTheExitCodes) {
  for (const Command& command : Commands()) {
    const Ran ran = RunWords({command.name, "--help"});
    EXPECT_EQ(ran.code, kExitOk) << command.name;
    EXPECT_TRUE(absl::StrContains(ran.out, absl::StrCat("\n  stowage ", command.name))) << ran.out;
    EXPECT_TRUE(absl::StrContains(ran.out, ExitCodesFooter())) << ran.out;
    EXPECT_EQ(ran.err, "");
  }
  const Ran all = RunWords({"--help"});
  EXPECT_EQ(all.code, kExitOk);
  for (const Command& command : Commands()) EXPECT_TRUE(absl::StrContains(all.out, command.summary)) << all.out;
}

TEST(CommandLineTest, WhatIsNotUnderstoodIsOneLineAndTheUsageCode) {
  const struct {
    std::vector<std::string> words;
    const char* part;
  } cases[] = {
      {{}, "see: stowage --help"},
      {{"trian"},
       "no command \"trian\"; there are train, plan, eval, sample, prepare, export, config, calibrate, doctor, version"},
      {{"--frobnicate"}, "see: stowage --help"},
      {{"train"}, "CONFIG is required; see: stowage train --help"},
      {{"train", "a.yaml", "b.yaml"}, "see: stowage train --help"},
      {{"train", "a.yaml", "--frobnicate"}, "--frobnicate; see: stowage train --help"},
      {{"eval", "run", "--sequences", "0"}, "see: stowage eval --help"},
      {{"sample", "run", "--temperature", "-1"}, "see: stowage sample --help"},
      {{"prepare", "a.txt"}, "--output is required; see: stowage prepare --help"},
      {{"config"}, "name a CONFIG to check, or ask for --keys or --schema"},
      {{"config", "--keys", "--schema"}, "see: stowage config --help"},
  };
  for (const auto& c : cases) {
    const Ran ran = RunWords(c.words);
    EXPECT_EQ(ran.code, kExitUsage) << c.part;
    ExpectOneLineOnStderr(ran, c.part);
  }
}

TEST(CommandLineTest, AProgramAddsItsOwnCommands) {
  std::vector<Command> commands = Commands();
  commands.push_back({"answer", "Give it", "", [](auto&) -> std::function<int()> { return [] { return 42; }; }});
  EXPECT_EQ(RunWords({"answer"}, commands).code, 42);
}

TEST(ConfigCommandTest, SaysGoodOrThePlaceOfWhatIsWrong) {
  const std::string good = GoodConfig();
  const Ran ran = RunWords({"config", good});
  EXPECT_EQ(ran.code, kExitOk);
  EXPECT_EQ(ran.out, absl::StrCat(good, ": good\n"));

  const std::string bad = Write("bad.yaml", "data: {source: kjv}\ntrain: {stps: 5}\n");
  const Ran wrong = RunWords({"config", bad});
  EXPECT_EQ(wrong.code, kExitUsage);
  ExpectOneLineOnStderr(wrong, absl::StrCat(bad, ":2:9: train.stps: no such key; did you mean train.steps?"));

  const Ran gone = RunWords({"config", "/nowhere.yaml"});
  EXPECT_EQ(gone.code, kExitUsage);
  ExpectOneLineOnStderr(gone, "/nowhere.yaml: cannot be read: No such file or directory");

  const Ran later = RunWords({"config", good, "--set", "sharding.backend=nccl"});
  EXPECT_EQ(later.code, kExitUsage);
  ExpectOneLineOnStderr(later, "sharding.backend: nccl is not built yet; auto and mpi and shared_memory are");
}

TEST(ConfigCommandTest, ResolvedIsAConfigWithSetsAppliedInOrder) {
  // A --set before CONFIG must not take CONFIG for its second value.
  const Ran ran =
      RunWords({"config", "--set", "model.layers=2", "--set", "model.layers=3", GoodConfig(), "--resolved"});
  ASSERT_EQ(ran.code, kExitOk) << ran.err;
  const auto config = ParseConfig(ran.out, "resolved");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model.layers, 3);
  EXPECT_EQ(config->train.micro_batch, 16);
  EXPECT_FALSE(config->model.vocabulary.has_value()) << "the data, which is not opened, says";
}

TEST(ConfigCommandTest, SchemaIsJsonAndKeysAreListed) {
  const Ran schema = RunWords({"config", "--schema"});
  EXPECT_EQ(schema.code, kExitOk);
  EXPECT_FALSE(nlohmann::json::parse(schema.out, nullptr, false).is_discarded());
  const Ran keys = RunWords({"config", "--keys"});
  EXPECT_EQ(keys.code, kExitOk);
  EXPECT_EQ(keys.out, ConfigHelp());
}

TEST(TrainCommandTest, AConfigThatIsWrongStartsNothing) {
  const Ran ran = RunWords({"train", GoodConfig(), "--set", "model.heads=5"});
  EXPECT_EQ(ran.code, kExitUsage);
  ExpectOneLineOnStderr(ran, "model.width 384 is not a multiple of model.heads 5");
}

TEST(TrainCommandTest, WhatIsNotBuiltIsRefusedBeforeAnythingStarts) {
  const Ran ran = RunWords({"train", GoodConfig(), "--set", "precision=fp16"});
  EXPECT_EQ(ran.code, kExitUsage);
  ExpectOneLineOnStderr(ran, "precision: fp16 is not built yet; fp32 and bf16 are");
}

TEST(TrainCommandTest, DataThatIsMissingIsAFailureAndNamed) {
  const std::string config = Write("missing_data.yaml", "data: {train: /nowhere/a.txt}\ntrain: {steps: 5}\n");
  const Ran ran = RunWords({"train", config, "--run-dir", absl::StrCat(testing::TempDir(), "/missing_data_run")});
  EXPECT_EQ(ran.code, kExitFailure);
  EXPECT_TRUE(absl::StrContains(ran.err, "/nowhere/a.txt")) << ran.err;
}

TEST(RunCommandsTest, ARunThatIsNotThereIsAFailureAndNamed) {
  for (const char* command : {"eval", "sample"}) {
    const Ran ran = RunWords({command, "/nowhere/run"});
    EXPECT_EQ(ran.code, kExitFailure) << command;
    ExpectOneLineOnStderr(ran, "/nowhere/run");
  }
}

TEST(PrepareCommandTest, WritesAFolderAndSaysWhatIsInIt) {
  const std::string text = Write("prepare.txt", std::string(1000, 'a'));
  const std::string output = absl::StrCat(testing::TempDir(), "/prepared");
  const Ran ran = RunWords({"prepare", text, "--output", output, "--replace"});
  ASSERT_EQ(ran.code, kExitOk) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.out, "1 documents, ")) << ran.out;
  EXPECT_TRUE(std::ifstream(absl::StrCat(output, "/train.stow")).good());
  const Ran again = RunWords({"prepare", text, "--output", output});
  EXPECT_EQ(again.code, kExitFailure);
  ExpectOneLineOnStderr(again, output);
}

TEST(VersionCommandTest, NamesEveryLibraryAndDevice) {
  const Ran ran = RunWords({"version"});
  EXPECT_EQ(ran.code, kExitOk);
  for (const char* part : {"stowage ", "LibTorch ", "MPI ", "abseil ", "yaml-cpp ", "Highway targets ", "compiler ",
                           "CPU ", " cores", "CUDA driver "}) {
    EXPECT_TRUE(absl::StrContains(ran.out, part)) << part << "\n" << ran.out;
  }
  EXPECT_TRUE(absl::StrContains(ran.out, "libyaml-cpp.so.")) << "the loaded file carries its version\n" << ran.out;
}

TEST(FoundTest, ALibraryThatIsNotLoadedIsNotFound) { EXPECT_EQ(LoadedLibrary("libnosuchthing"), ""); }

// Under Bazel the page lies among the runfiles; started by hand, in the repository.
TEST(ExitCodesTest, TheDocumentedCodesAreTheOnesInUse) {
  const char* runfiles = std::getenv("TEST_SRCDIR");
  std::ifstream in(runfiles != nullptr ? absl::StrCat(runfiles, "/stowage/docs/exit_codes.md") : "docs/exit_codes.md");
  std::stringstream page;
  page << in.rdbuf();
  size_t rows = 0;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(page.str(), '\n'))) {
    if (absl::StartsWith(line, "| ") && !absl::StartsWith(line, "| code")) ++rows;
  }
  EXPECT_EQ(rows, ExitCodeMeanings().size());
  for (const ExitCodeMeaning& meaning : ExitCodeMeanings()) {
    EXPECT_TRUE(absl::StrContains(page.str(), absl::StrCat("\n| ", meaning.code, " | ", meaning.meaning, " |")))
        << meaning.code;
  }
}

}  // namespace
}  // namespace stowage
