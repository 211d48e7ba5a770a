#include "trainer/checkpoint/checkpoint.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sharding/solo_communicator.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/test_checkpoint.h"

namespace stowage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

TEST_F(CheckpointTest, AnyNumberOfRanksWritesTheSameLogicalTensors) {
  for (int world_size : {1, 2, 3, 7}) {
    const auto results = SaveOn(world_size, world_size);
    for (const auto& result : results) {
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(*result, Path(world_size));
    }
    const auto reader = CheckpointReader::Open(Path(world_size));
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_TRUE(reader->Verify().ok());
    EXPECT_EQ(reader->world_size(), world_size);
    EXPECT_EQ(reader->tensors().at("optimizer.cut").shape, (std::vector<int64_t>{10, 100}));
    EXPECT_EQ(reader->info().must_match, Info(1).must_match);
    EXPECT_EQ(reader->info().noted, Info(1).noted);
    EXPECT_EQ(reader->info().config_yaml, Info(world_size).config_yaml);
    EXPECT_EQ(reader->info().plan_json, "{}");
    EXPECT_EQ(reader->info().tokenizer_model, std::string("\x0a\0model", 7));
    ExpectHolds(*reader, world_size);
  }
}

TEST_F(CheckpointTest, RangesAreReadAcrossTheCutsBetweenRanks) {
  ASSERT_TRUE(SaveOn(3, 5)[0].ok());
  const auto reader = CheckpointReader::Open(Path(5));
  ASSERT_TRUE(reader.ok());
  for (int64_t first : {0, 1, 333, 334, 667, 999}) {
    for (int64_t numel : {0, 1, 2, 335, 700}) {
      if (first + numel > kCutNumel) continue;
      std::vector<float> to(numel + 1, -1.0f);
      ASSERT_TRUE(reader->Read("optimizer.cut", first, numel, to.data()).ok());
      for (int64_t i = 0; i < numel; ++i) ASSERT_EQ(to[i], Value(5, first + i)) << first << " " << numel;
      ASSERT_EQ(to[numel], -1.0f) << "wrote past the end";
    }
  }
  float to = 0;
  EXPECT_EQ(reader->Read("optimizer.cut", 1000, 1, &to).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(reader->Read("other", 0, 1, &to).code(), absl::StatusCode::kNotFound);
}

TEST_F(CheckpointTest, FilesOpenAsPlainSafetensors) {
  ASSERT_TRUE(SaveOn(2, 5)[0].ok());
  const auto first = SafetensorsReader::Open(Path(5) + "/rank-00000.safetensors");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->tensors().at("layer.whole").shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(first->tensors().at("optimizer.cut@0").shape, (std::vector<int64_t>{500}));
  EXPECT_EQ(first->metadata().at("stowage.step"), "5");
  const auto second = SafetensorsReader::Open(Path(5) + "/rank-00001.safetensors");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->tensors().count("optimizer.cut@500"), 1u);
}

TEST_F(CheckpointTest, ARankWithoutPiecesWritesNoFile) {
  const std::vector<float> values = State(1);
  RunRanks(3, [&](Communicator& communicator) {
    const auto pieces = communicator.rank() == 1 ? Pieces(0, 1, values) : std::vector<TensorPiece>();
    const auto result = SaveCheckpoint(communicator, folder_, Info(1), pieces, 1);
    EXPECT_TRUE(result.ok()) << result.status();
  });
  EXPECT_THAT(ListFolder(Path(1)).value(),
              ElementsAre("config.yaml", "manifest.json", "plan.json", "rank-00001.safetensors",
                          "tokenizer.model"));
}

TEST_F(CheckpointTest, TheNewestAreKept) {
  for (int64_t step : {10, 20, 30, 40}) Save(step, /*keep=*/2);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000030", "step-00000040"));
  // A run that went back to an older step keeps what it has just written.
  Save(25, /*keep=*/2);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000025", "step-00000040"));
  Save(50, /*keep=*/1);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000050"));
}

TEST_F(CheckpointTest, DamagedOnesDoNotCountAsKept) {
  for (int64_t step : {10, 20, 30}) Save(step);
  ASSERT_TRUE(RemoveTree(Path(20) + "/rank-00000.safetensors").ok());
  Save(40, /*keep=*/3);
  EXPECT_THAT(ListFolder(folder_).value(),
              ElementsAre("step-00000010", "step-00000020", "step-00000030", "step-00000040"));
}

TEST_F(CheckpointTest, ACheckpointOfTheSameStepIsReplaced) {
  Save(10);
  Flip(Path(10) + "/rank-00000.safetensors", -1);
  Save(10);
  EXPECT_THAT(ListFolder(folder_).value(), ElementsAre("step-00000010"));
  const auto reader = CheckpointReader::Open(Path(10));
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(reader->Verify().ok());
}

TEST_F(CheckpointTest, OpenNewestTakesTheHighestStep) {
  std::vector<std::string> said;
  EXPECT_EQ(OpenNewest(folder_, &said).status().code(), absl::StatusCode::kNotFound);
  for (int64_t step : {9, 100, 20}) Save(step);
  ASSERT_TRUE(MakeFolders(folder_ + "/step-7").ok());  // not a name of ours
  const auto reader = OpenNewest(folder_, &said);
  ASSERT_TRUE(reader.ok()) << reader.status();
  ExpectHolds(*reader, 100);
  EXPECT_TRUE(said.empty());
}

TEST_F(CheckpointTest, AnotherModelIsRefusedWithItsDifferences) {
  Save(1);
  const auto reader = CheckpointReader::Open(Path(1));
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(CheckSameTensors(*reader, reader->tensors()).ok());
  auto expected = reader->tensors();
  expected.at("layer.whole").shape = {4, 4};
  expected.erase("layer.last");
  expected["layer.new"] = {DType::kBFloat16, {2}, 2};
  const absl::Status status = CheckSameTensors(*reader, expected);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("layer.whole is [3, 4] of F32 in it, [4, 4] of F32 here"));
  EXPECT_THAT(message, HasSubstr("it lacks layer.new [2] of BF16"));
  EXPECT_THAT(message, HasSubstr("it has layer.last [5] of I32"));
}

TEST_F(CheckpointTest, PiecesThatDoNotMakeWholeTensorsAreRefusedOnAllRanks) {
  const std::vector<float> values = State(1);
  const auto save = [&](std::vector<TensorPiece> of_rank_0, std::vector<TensorPiece> of_rank_1) {
    std::vector<absl::Status> statuses(2);
    RunRanks(2, [&](Communicator& communicator) {
      statuses[communicator.rank()] =
          SaveCheckpoint(communicator, folder_, Info(1), communicator.rank() == 0 ? of_rank_0 : of_rank_1, 1).status();
    });
    EXPECT_EQ(statuses[0], statuses[1]);
    EXPECT_EQ(statuses[0].code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(ListFolder(folder_).value(), ElementsAre());
    return std::string(statuses[0].message());
  };
  const TensorPiece low{"w", DType::kFloat32, {100}, 0, 50, values.data()};
  const TensorPiece high{"w", DType::kFloat32, {100}, 50, 50, values.data()};
  const TensorPiece gap{"w", DType::kFloat32, {100}, 60, 40, values.data()};
  const TensorPiece shape{"w", DType::kFloat32, {10, 10}, 50, 50, values.data()};
  const TensorPiece beyond{"w", DType::kFloat32, {100}, 60, 50, values.data()};
  const TensorPiece at_sign{"w@0", DType::kFloat32, {1}, 0, 1, values.data()};
  EXPECT_THAT(save({low}, {gap}), HasSubstr("nobody wrote elements [50, 60)"));
  EXPECT_THAT(save({low}, {low}), HasSubstr("written twice"));
  EXPECT_THAT(save({low}, {shape}), HasSubstr("one rank has [100]"));
  EXPECT_THAT(save({low, high}, {beyond}), HasSubstr("rank 1: tensor w"));
  EXPECT_THAT(save({low, high}, {at_sign}), HasSubstr("@"));
}

TEST_F(CheckpointTest, KeepBelowOneIsRefused) {
  SoloCommunicator solo;
  const std::vector<float> values = State(1);
  const auto result = SaveCheckpoint(solo, folder_, Info(1), Pieces(0, 1, values), 0);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
