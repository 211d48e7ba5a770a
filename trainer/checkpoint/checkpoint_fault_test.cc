// What may happen to a checkpoint, and what is left afterwards.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/scoped_file_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/test_checkpoint.h"

namespace stowage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class CheckpointFaultTest : public CheckpointTest {
 protected:
  // Steps 10 and 20 are there, 20 was then damaged: 10 is taken and one line says why.
  void ExpectPassedOver(const std::string& says) {
    std::vector<std::string> said;
    const auto reader = OpenNewest(folder_, &said);
    ASSERT_TRUE(reader.ok()) << reader.status();
    ExpectHolds(*reader, 10);
    ASSERT_THAT(said, SizeIs(1));
    EXPECT_THAT(said[0], HasSubstr("checkpoint of step 20 is damaged"));
    EXPECT_THAT(said[0], HasSubstr(says));
  }

  void SaveTwo() {
    Save(10);
    Save(20);
  }
  std::string Shard() const { return Path(20) + "/rank-00000.safetensors"; }
  std::string ManifestPath() const { return Path(20) + "/manifest.json"; }
};

TEST_F(CheckpointFaultTest, AFlippedByteIsFoundWhereverItIs) {
  SaveTwo();
  const std::string good = ReadFile(Shard()).value();
  for (int64_t at : {int64_t{0}, int64_t{20}, static_cast<int64_t>(good.size()) / 2, int64_t{-1}}) {
    Flip(Shard(), at);
    const auto reader = CheckpointReader::Open(Path(20));
    ASSERT_TRUE(reader.ok());
    const absl::Status status = reader->Verify();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(Shard()));
    ExpectPassedOver(Shard());
    ASSERT_TRUE(WriteFileDurably(Shard(), good).ok());
  }
}

TEST_F(CheckpointFaultTest, AFlippedByteOfTheConfigIsFound) {
  SaveTwo();
  Flip(Path(20) + "/config.yaml", 3);
  ExpectPassedOver("config.yaml");
}

TEST_F(CheckpointFaultTest, AMissingShardIsFound) {
  SaveTwo();
  ASSERT_TRUE(RemoveTree(Shard()).ok());
  EXPECT_EQ(CheckpointReader::Open(Path(20)).status().code(), absl::StatusCode::kDataLoss);
  ExpectPassedOver(Shard());
}

TEST_F(CheckpointFaultTest, ATruncatedShardIsFound) {
  SaveTwo();
  const std::string good = ReadFile(Shard()).value();
  ASSERT_TRUE(WriteFileDurably(Shard(), good.substr(0, good.size() - 1)).ok());
  EXPECT_EQ(CheckpointReader::Open(Path(20)).status().code(), absl::StatusCode::kDataLoss);
  ExpectPassedOver("was written with");
}

TEST_F(CheckpointFaultTest, ATruncatedOrMissingManifestIsFound) {
  SaveTwo();
  const std::string good = ReadFile(ManifestPath()).value();
  for (size_t bytes : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 2}) {
    ASSERT_TRUE(WriteFileDurably(ManifestPath(), good.substr(0, bytes)).ok());
    EXPECT_EQ(CheckpointReader::Open(Path(20)).status().code(), absl::StatusCode::kDataLoss) << bytes;
    ExpectPassedOver("manifest.json");
  }
  ASSERT_TRUE(RemoveTree(ManifestPath()).ok());
  EXPECT_EQ(CheckpointReader::Open(Path(20)).status().code(), absl::StatusCode::kNotFound);
  ExpectPassedOver("manifest.json");
}

TEST_F(CheckpointFaultTest, ANewerFormatIsRefusedAndNotPassedOver) {
  SaveTwo();
  const std::string text = ReadFile(ManifestPath()).value();
  ASSERT_TRUE(
      WriteFileDurably(ManifestPath(), absl::StrReplaceAll(text, {{"\"format_version\": 1", "\"format_version\": 2"}}))
          .ok());
  std::vector<std::string> said;
  const absl::Status status = OpenNewest(folder_, &said).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("format version 2, this program reads version 1"));
}

TEST_F(CheckpointFaultTest, IfAllAreDamagedEachIsSaid) {
  SaveTwo();
  Flip(Shard(), -1);
  Flip(Path(10) + "/rank-00000.safetensors", -1);
  std::vector<std::string> said;
  EXPECT_EQ(OpenNewest(folder_, &said).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(said, SizeIs(2));
}

// The limit is raised from 0 until the save succeeds, so that every file of a checkpoint is the one that fails.
TEST_F(CheckpointFaultTest, ADiskThatIsFullAnywhereInASaveLosesNothing) {
  Save(10);
  int failures = 0;
  for (int64_t limit = 0;; limit += 97) {
    absl::StatusOr<std::string> result = absl::UnknownError("");
    {
      ScopedFileLimit full(limit);
      result = SaveOn(1, 20, /*keep=*/1)[0];
    }
    if (result.ok()) break;
    ++failures;
    ASSERT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted) << limit << ": " << result.status();
    ASSERT_THAT(std::string(result.status().message()), HasSubstr("cannot write"));
    ASSERT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000010")) << limit;
    std::vector<std::string> said;
    ASSERT_TRUE(OpenNewest(folder_, &said).ok());
    ASSERT_THAT(said, SizeIs(0));
  }
  EXPECT_GT(failures, 20);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000020"));
}

TEST_F(CheckpointFaultTest, OneRankThatFailsGivesAllRanksItsStatusAndLeavesNothing) {
  ASSERT_TRUE(SaveOn(3, 10)[0].ok());
  const std::vector<float> values = State(20);
  const std::vector<float> big(100000, 1.0f);
  std::vector<absl::Status> statuses(3);
  {
    ScopedFileLimit full(100000);  // enough for all files but rank 1's
    RunRanks(3, [&](Communicator& communicator) {
      const int rank = communicator.rank();
      std::vector<TensorPiece> pieces = Pieces(rank, 3, values);
      if (rank == 1) pieces.push_back({"big", DType::kFloat32, {100000}, 0, 100000, big.data()});
      statuses[rank] = SaveCheckpoint(communicator, folder_, Info(20), pieces, 3).status();
    });
  }
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(statuses[0].message()), HasSubstr("rank 1: "));
  EXPECT_THAT(std::string(statuses[0].message()), HasSubstr("rank-00001.safetensors: cannot write"));
  EXPECT_EQ(statuses[1], statuses[0]);
  EXPECT_EQ(statuses[2], statuses[0]);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000010"));
  for (const auto& result : SaveOn(3, 20)) EXPECT_TRUE(result.ok()) << "the ranks are out of step: " << result.status();
}

TEST_F(CheckpointFaultTest, AFolderThatCannotBeMadeFailsOnAllRanks) {
  ASSERT_TRUE(WriteFileDurably(folder_, "a file in its place").ok());
  for (const auto& result : SaveOn(3, 10)) {
    EXPECT_FALSE(result.ok());
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(folder_));
  }
}

TEST_F(CheckpointFaultTest, WhatACrashLeftIsIgnoredAndCleared) {
  Save(10);
  ASSERT_TRUE(MakeFolders(folder_ + "/.step-20.partial-1").ok());
  ASSERT_TRUE(WriteFileDurably(folder_ + "/.step-20.partial-1/manifest.json", "{}").ok());
  std::vector<std::string> said;
  ASSERT_EQ(OpenNewest(folder_, &said).value().info().step, 10);
  EXPECT_THAT(said, SizeIs(0));
  Save(30);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000010", "step-00000030"));
}

TEST_F(CheckpointFaultTest, ACrashWhileACheckpointIsReplacedLosesNeither) {
  Save(10);
  Save(20);
  ASSERT_TRUE(RenameDurably(Path(20), folder_ + "/.step-00000020.replaced").ok());  // the crash comes here
  std::vector<std::string> said;
  const auto reader = OpenNewest(folder_, &said);
  ASSERT_TRUE(reader.ok());
  ExpectHolds(*reader, 20);
  Save(30);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000010", "step-00000020", "step-00000030"));
  // Had the new one its name already, the old one goes.
  ASSERT_TRUE(MakeFolders(folder_ + "/.step-00000030.replaced").ok());
  ASSERT_EQ(OpenNewest(folder_, &said).value().path(), Path(30));
  Save(40);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000020", "step-00000030", "step-00000040"));
}

}  // namespace
}  // namespace stowage
