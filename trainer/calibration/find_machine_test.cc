#include "trainer/calibration/find_machine.h"

#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "trainer/calibration/test_machine.h"

namespace stowage {
namespace {

// A cache of its own for every test.
class FindMachineTest : public testing::Test {
 protected:
  FindMachineTest() {
    cache_ = absl::StrCat(testing::TempDir(), "/", testing::UnitTest::GetInstance()->current_test_info()->name());
    (void)RemoveTree(cache_);
    setenv("XDG_CACHE_HOME", cache_.c_str(), 1);
    standard_ = *DefaultMachinePath();
  }
  ~FindMachineTest() override { unsetenv("XDG_CACHE_HOME"); }

  const MachineIdentity here_ = MadeUpMachine().machine;
  std::string cache_, standard_;
};

TEST_F(FindMachineTest, TheStandardFileLiesInTheCache) {
  EXPECT_EQ(standard_, absl::StrCat(cache_, "/stowage/machine.json"));
}

TEST_F(FindMachineTest, ThisMachinesOwnFileIsMeasured) {
  ASSERT_TRUE(WriteMachineFile(standard_, MadeUpMachine()).ok());
  const absl::StatusOr<FoundMachine> found = FindMachine("", here_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->source, Source::kMeasured);
  EXPECT_EQ(found->remark, "");
  EXPECT_EQ(found->file.cases.size(), MadeUpMachine().cases.size());
}

TEST_F(FindMachineTest, WithoutAFileTheShippedOneEstimatesAndSaysHowToMeasure) {
  const absl::StatusOr<FoundMachine> found = FindMachine("", here_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->source, Source::kEstimated);
  EXPECT_NE(found->remark.find("stowage calibrate"), std::string::npos) << found->remark;
}

TEST_F(FindMachineTest, AnotherMachinesFileInTheCacheIsNotUsedAndThatIsSaid) {
  MachineFile other = MadeUpMachine();
  other.machine.cores = 64;
  other.date = "1999-09-09";
  ASSERT_TRUE(WriteMachineFile(standard_, other).ok());
  const absl::StatusOr<FoundMachine> found = FindMachine("", here_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->source, Source::kEstimated);
  EXPECT_NE(found->file.date, "1999-09-09");
  EXPECT_NE(found->remark.find("cores 64 and not 4"), std::string::npos) << found->remark;
  EXPECT_NE(found->remark.find("stowage calibrate"), std::string::npos) << found->remark;
}

TEST_F(FindMachineTest, AnotherMachinesFileByNameIsUsedAsAnEstimate) {
  MachineFile other = MadeUpMachine();
  other.machine.cpu = "Elsewhere";
  const std::string path = absl::StrCat(cache_, "/node17.json");
  ASSERT_TRUE(WriteMachineFile(path, other).ok());
  const absl::StatusOr<FoundMachine> found = FindMachine(path, here_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->source, Source::kEstimated);
  EXPECT_EQ(found->file.machine.cpu, "Elsewhere");
  EXPECT_NE(found->remark.find("Elsewhere"), std::string::npos) << found->remark;
}

TEST_F(FindMachineTest, ABrokenFileIsAnErrorAndNotPassedOver) {
  const std::string text = MachineFileText(MadeUpMachine());
  ASSERT_TRUE(MakeFolders(cache_ + "/stowage").ok());
  ASSERT_TRUE(WriteFileDurably(standard_, text.substr(0, 200)).ok());
  EXPECT_TRUE(absl::IsDataLoss(FindMachine("", here_).status()));
  EXPECT_TRUE(absl::IsDataLoss(FindMachine(standard_, here_).status()));
}

TEST_F(FindMachineTest, ANamedFileThatIsMissingIsAnError) {
  EXPECT_TRUE(absl::IsNotFound(FindMachine(cache_ + "/none.json", here_).status()));
}

TEST_F(FindMachineTest, TheShippedFileIsWholeAndHasEveryKind) {
  const absl::StatusOr<MachineFile> shipped = ShippedMachine();
  ASSERT_TRUE(shipped.ok()) << shipped.status();
  EXPECT_EQ(shipped->cases.size(), 5u);
}

}  // namespace
}  // namespace stowage
