#include "trainer/run/run_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/metrics/report.h"

namespace stowage {
namespace {

using ::testing::HasSubstr;

class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = absl::StrCat(testing::TempDir(), "/run_folder.", getpid(), ".",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(RemoveTree(path_).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(path_).ok()); }

  void MakeRun() {
    ASSERT_TRUE(MakeFolders(path_).ok());
    ASSERT_TRUE(WriteFileDurably(path_ + "/config.yaml", "run: {}\n").ok());
  }
  void ExpectRefused(bool resume, const std::string& says) {
    const absl::Status status = RunFolder::Open(path_, resume).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  }

  std::string path_;
};

TEST_F(RunFolderTest, ANewOneIsMadeWithAllThatIsAboveIt) {
  const auto folder = RunFolder::Open(path_ + "/a/b", false);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->path(), path_ + "/a/b");
  EXPECT_EQ(folder->File("x"), path_ + "/a/b/x");
  EXPECT_EQ(folder->checkpoints(), path_ + "/a/b/checkpoints");
}

TEST_F(RunFolderTest, FilesThatNoRunMakesDoNotMatter) {
  ASSERT_TRUE(MakeFolders(path_).ok());
  ASSERT_TRUE(WriteFileDurably(path_ + "/notes.txt", "mine").ok());
  EXPECT_TRUE(RunFolder::Open(path_, false).ok());
}

TEST_F(RunFolderTest, ANewRunIsRefusedWhereOneIs) {
  for (const char* name : {"config.yaml", "metrics.jsonl", "report.json", "events.out.tfevents.1.x"}) {
    ASSERT_TRUE(RemoveTree(path_).ok());
    ASSERT_TRUE(MakeFolders(path_).ok());
    ASSERT_TRUE(WriteFileDurably(absl::StrCat(path_, "/", name), "{}").ok());
    ExpectRefused(false, name);
  }
}

TEST_F(RunFolderTest, AResumeIsRefusedWhereNoRunIs) {
  ExpectRefused(true, "is not there");
  EXPECT_FALSE(PathExists(path_));
  ASSERT_TRUE(MakeFolders(path_).ok());
  ExpectRefused(true, "holds no run");
}

TEST_F(RunFolderTest, AStoppedRunIsResumedAndAFinishedOneIsNot) {
  MakeRun();
  EXPECT_TRUE(RunFolder::Open(path_, true).ok());
  Report report;
  ASSERT_TRUE(WriteReport(path_ + "/report.json", report).ok());
  EXPECT_TRUE(RunFolder::Open(path_, true).ok());
  report.finished = true;
  ASSERT_TRUE(WriteReport(path_ + "/report.json", report).ok());
  ExpectRefused(true, "is finished");
}

TEST_F(RunFolderTest, AReportThatCannotBeReadIsSaid) {
  MakeRun();
  ASSERT_TRUE(WriteFileDurably(path_ + "/report.json", "{").ok());
  EXPECT_EQ(RunFolder::Open(path_, true).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RunFolderTest, OneInUseIsRefusedWithItsHolderUntilItIsLetGo) {
  auto first = RunFolder::Open(path_, false);
  ASSERT_TRUE(first.ok());
  ExpectRefused(false, absl::StrCat("is in use by process ", getpid(), " on host "));
  ExpectRefused(true, "is in use");
  {
    const RunFolder moved = *std::move(first);
    ExpectRefused(false, "is in use");
  }
  EXPECT_TRUE(RunFolder::Open(path_, false).ok());
}

TEST_F(RunFolderTest, AKilledProcessHoldsItNoLonger) {
  int opened[2];
  ASSERT_EQ(pipe(opened), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto folder = RunFolder::Open(path_, false);
    const char said = folder.ok() ? 'y' : 'n';
    (void)!write(opened[1], &said, 1);
    for (;;) pause();
  }
  char said = 0;
  ASSERT_EQ(read(opened[0], &said, 1), 1);
  EXPECT_EQ(said, 'y');
  ExpectRefused(false, absl::StrCat("process ", child));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(RunFolder::Open(path_, false).ok());
  close(opened[0]);
  close(opened[1]);
}

}  // namespace
}  // namespace stowage
