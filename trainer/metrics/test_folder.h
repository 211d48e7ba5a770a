// A folder of its own for each test, gone afterwards.
#ifndef STOWAGE_TRAINER_METRICS_TEST_FOLDER_H_
#define STOWAGE_TRAINER_METRICS_TEST_FOLDER_H_

#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace stowage {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = absl::StrCat(testing::TempDir(), "/", test->test_suite_name(), ".", test->name(), ".", getpid());
    ASSERT_TRUE(RemoveTree(folder_).ok());
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }

  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  // Lines without their ends; the file must end with one.
  static std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines = absl::StrSplit(text, '\n');
    EXPECT_EQ(lines.back(), "") << "a torn last line";
    lines.pop_back();
    return lines;
  }

  std::string folder_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_TEST_FOLDER_H_
