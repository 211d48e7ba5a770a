#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/scoped_file_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/file_test.", getpid(), ".",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(RemoveTree(folder_).ok());
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  std::string folder_;
};

TEST_F(FileTest, WrittenDurablyReadsBackAndLeavesNothingElse) {
  const std::string bytes("a\0b\nc", 5);
  ASSERT_TRUE(WriteFileDurably(Path("x"), "old and longer").ok());
  ASSERT_TRUE(WriteFileDurably(Path("x"), bytes).ok());
  EXPECT_EQ(ReadFile(Path("x")).value(), bytes);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("x"));
}

TEST_F(FileTest, AFailedDurableWriteKeepsTheOldFileAndLeavesNothingElse) {
  ASSERT_TRUE(WriteFileDurably(Path("x"), "old").ok());
  absl::Status status;
  {
    ScopedFileLimit limit(1000);
    status = WriteFileDurably(Path("x"), std::string(5000, 'n'));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("write 4000 of 5000 bytes at offset 1000"));
  EXPECT_EQ(ReadFile(Path("x")).value(), "old");
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("x"));
}

TEST_F(FileTest, ErrorsNameThePathAndTheReason) {
  const absl::Status missing = ReadFile(Path("none")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(Path("none")));
  EXPECT_FALSE(ReadFile(folder_).ok());
  EXPECT_FALSE(OutputFile::Create(Path("no/such/folder")).ok());
  EXPECT_EQ(ListFolder(Path("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FileBytes(Path("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SyncFolder(Path("none")).code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, AFullDeviceIsResourceExhausted) {
  auto full = OutputFile::Continue("/dev/full");  // every write to it is ENOSPC
  ASSERT_TRUE(full.ok()) << full.status();
  const absl::Status status = full->Append("x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left"));
}

TEST_F(FileTest, FoldersAreMadeAndRemovedWhole) {
  ASSERT_TRUE(MakeFolders(Path("a/b/c")).ok());
  ASSERT_TRUE(MakeFolders(Path("a/b/c")).ok());
  ASSERT_TRUE(WriteFileDurably(Path("a/b/f"), "1").ok());
  ASSERT_TRUE(WriteFileDurably(Path("kept"), "1").ok());
  ASSERT_EQ(symlink(Path("kept").c_str(), Path("a/link").c_str()), 0);
  EXPECT_FALSE(MakeFolders(Path("kept")).ok());
  EXPECT_FALSE(MakeFolders(Path("kept/x")).ok());
  ASSERT_TRUE(RemoveTree(Path("a")).ok());
  ASSERT_TRUE(RemoveTree(Path("a")).ok());
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("kept"));
}

TEST_F(FileTest, ContinueKeepsTheFirstBytesAndAppends) {
  ASSERT_TRUE(WriteFileDurably(Path("x"), "0123456789").ok());
  auto file = OutputFile::Continue(Path("x"), 4);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bytes(), 4);
  ASSERT_TRUE(file->Append("ab").ok());
  ASSERT_TRUE(file->Close().ok());
  auto all = OutputFile::Continue(Path("x"));
  ASSERT_TRUE(all->Append("!").ok());
  ASSERT_TRUE(all->Close().ok());
  EXPECT_EQ(ReadFile(Path("x")).value(), "0123ab!");
}

TEST_F(FileTest, AFailedRecordLeavesWholeRecordsAndTheNextCallWritesAgain) {
  auto file = OutputFile::Create(Path("records"));
  ASSERT_TRUE(file->AppendRecord("first\n").ok());
  {
    ScopedFileLimit limit(10);
    EXPECT_EQ(file->AppendRecord("second\n").code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(ReadFile(Path("records")).value(), "first\n");
  ASSERT_TRUE(file->AppendRecord("third\n").ok());
  ASSERT_TRUE(file->Close().ok());
  EXPECT_EQ(ReadFile(Path("records")).value(), "first\nthird\n");
}

TEST_F(FileTest, RangesAreReadAndAnEndThatComesTooEarlyIsDataLoss) {
  ASSERT_TRUE(WriteFileDurably(Path("x"), "0123456789").ok());
  const auto file = InputFile::Open(Path("x"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bytes(), 10);
  char to[4] = {};
  ASSERT_TRUE(file->Read(3, 4, to).ok());
  EXPECT_EQ(std::string(to, 4), "3456");
  const absl::Status status = file->Read(8, 4, to);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ends at byte 10"));
}

}  // namespace
}  // namespace stowage
