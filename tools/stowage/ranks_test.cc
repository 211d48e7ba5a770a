// The program under mpirun: what goes wrong on start ends all ranks, and is said once. No mpirun is a failure.
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/exit_code.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// The program lies beside this test's own, run by Bazel or by hand.
std::string Program() {
  char path[PATH_MAX] = "";
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  return (std::filesystem::path(std::string(path, length > 0 ? length : 0)).parent_path() / "stowage").string();
}

struct Outcome {
  int exit_code = -1;  // 124: it ran longer than 60 s
  std::string out;
  std::vector<std::string> complaints;  // lines of stderr that are ours, not mpirun's
};

Outcome RunOnTwoRanks(const std::string& arguments) {
  const std::string files = absl::StrCat(testing::TempDir(), "/stowage_ranks_", getpid());
  const std::string command =
      absl::StrCat("timeout -k 5 60 mpirun --oversubscribe ", geteuid() == 0 ? "--allow-run-as-root " : "", "-n 2 '",
                   Program(), "' ", arguments, " >", files, ".out 2>", files, ".err </dev/null");
  const int status = system(command.c_str());
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = ReadAll(files + ".out");
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(ReadAll(files + ".err"), '\n'))) {
    if (absl::StartsWith(line, "stowage: ")) outcome.complaints.push_back(line);
  }
  return outcome;
}

class RanksTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(system("command -v mpirun >/dev/null"), 0) << "mpirun is missing: install openmpi-bin";
    ASSERT_TRUE(std::filesystem::exists(Program())) << Program() << ": build //tools/stowage:stowage";
    config_ = absl::StrCat(testing::TempDir(), "/ranks.yaml");
    std::ofstream(config_) << "data: {source: kjv}\ntrain: {steps: 5}\n";
  }
  std::string config_;
};

TEST_F(RanksTest, AConfigThatIsWrongEndsAllAndIsSaidOnce) {
  const Outcome outcome = RunOnTwoRanks(absl::StrCat("train ", config_, " --set model.witdh=3"));
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_EQ(outcome.complaints,
            std::vector<std::string>{"stowage: --set model.witdh=3: model.witdh: no such key; did you mean "
                                     "model.width?"});
  EXPECT_EQ(outcome.out, "");
}

TEST_F(RanksTest, ACommandLineThatIsWrongEndsAllAndIsSaidOnce) {
  const Outcome outcome = RunOnTwoRanks("train");
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_EQ(outcome.complaints, std::vector<std::string>{"stowage: CONFIG is required; see: stowage train --help"});
}

TEST_F(RanksTest, AConfigThatOneRankLacksEndsAllAndNamesTheRank) {
  const Outcome outcome =
      RunOnTwoRanks(absl::StrCat("train ", config_, " : -n 1 '", Program(), "' train /nowhere.yaml"));
  EXPECT_EQ(outcome.exit_code, kExitUsage);
  EXPECT_EQ(outcome.complaints,
            std::vector<std::string>{"stowage: rank 2: /nowhere.yaml: cannot be read: No such file or directory"});
}

TEST_F(RanksTest, HelpAndAnswersAreGivenOnce) {
  const Outcome help = RunOnTwoRanks("config --help");
  EXPECT_EQ(help.exit_code, kExitOk);
  EXPECT_EQ(help.out.find("Exit codes:"), help.out.rfind("Exit codes:"));
  const Outcome checked = RunOnTwoRanks(absl::StrCat("config ", config_));
  EXPECT_EQ(checked.exit_code, kExitOk);
  EXPECT_EQ(checked.out, absl::StrCat(config_, ": good\n"));
}

}  // namespace
}  // namespace stowage
