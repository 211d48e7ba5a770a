#include "trainer/metrics/rank_log.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/scoped_file_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/metrics/test_folder.h"

namespace stowage {
namespace {

using ::testing::MatchesRegex;
using ::testing::SizeIs;

constexpr char kTime[] = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z ";

class RankLogTest : public FolderTest {};

TEST_F(RankLogTest, EntriesHaveATimeAndAResumedRunAppends) {
  {
    const auto log = RankLog::Open(folder_, 3);
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_TRUE((*log)->Write("one\ntwo").ok());
  }
  ASSERT_TRUE((*RankLog::Open(folder_, 3))->Write("three").ok());
  const auto lines = Lines(ReadFile(Path("log/rank-3.txt")).value());
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], MatchesRegex(absl::StrCat(kTime, "one")));
  EXPECT_EQ(lines[1], "  two");
  EXPECT_THAT(lines[2], MatchesRegex(absl::StrCat(kTime, "three")));
}

TEST_F(RankLogTest, EntriesOfSeveralThreadsStayWhole) {
  const auto log = RankLog::Open(folder_, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) ASSERT_TRUE((*log)->Write("abcdefghijklmnopqrstuvwxyz").ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = Lines(ReadFile(Path("log/rank-0.txt")).value());
  ASSERT_THAT(lines, SizeIs(400));
  for (const std::string& line : lines) EXPECT_THAT(line, MatchesRegex(absl::StrCat(kTime, "[a-z]+")));
}

TEST_F(RankLogTest, AFullDiskIsToldAndLeavesNoHalfEntry) {
  const auto log = RankLog::Open(folder_, 0);
  {
    ScopedFileLimit full(30);
    EXPECT_EQ((*log)->Write("too long for the room that is left").code(), absl::StatusCode::kResourceExhausted);
  }
  ASSERT_TRUE((*log)->Write("later").ok());
  EXPECT_THAT(Lines(ReadFile(Path("log/rank-0.txt")).value()), SizeIs(1));
}

}  // namespace
}  // namespace stowage
