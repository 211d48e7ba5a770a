// A small model's state for the tests of this folder: one tensor that rank 0 writes whole, one cut evenly over ranks,
// one that the last rank writes. Values depend on the step, so that one checkpoint cannot pass for another.
#ifndef STOWAGE_TRAINER_CHECKPOINT_TEST_CHECKPOINT_H_
#define STOWAGE_TRAINER_CHECKPOINT_TEST_CHECKPOINT_H_

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "sharding/in_process_test_util.h"
#include "trainer/checkpoint/checkpoint.h"

namespace stowage {

class CheckpointTest : public testing::Test {
 protected:
  static constexpr int64_t kWholeNumel = 12, kCutNumel = 1000, kLastNumel = 5;

  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/checkpoint.", getpid(), ".",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(RemoveTree(folder_).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }

  static float Value(int64_t step, int64_t element) { return static_cast<float>(step * 10000 + element); }

  static CheckpointInfo Info(int64_t step) {
    CheckpointInfo info;
    info.step = step;
    info.must_match = {{"model.layers", "6"}};
    info.noted = {{"threads", "2"}};
    info.config_yaml = absl::StrCat("run: {name: test}  # ", step, "\n");
    info.plan_json = "{}";
    info.tokenizer_model = std::string("\x0a\0model", 7);
    return info;
  }

  // The pieces of one rank; `values` holds the state of that step and must outlive them.
  static std::vector<TensorPiece> Pieces(int rank, int world_size, const std::vector<float>& values) {
    std::vector<TensorPiece> pieces;
    if (rank == 0) pieces.push_back({"layer.whole", DType::kFloat32, {3, 4}, 0, kWholeNumel, values.data()});
    const int64_t shard = (kCutNumel + world_size - 1) / world_size;
    const int64_t first = std::min(rank * shard, kCutNumel);
    const int64_t numel = std::min(shard, kCutNumel - first);
    pieces.push_back({"optimizer.cut", DType::kFloat32, {10, 100}, first, numel, values.data() + first});
    if (rank == world_size - 1) {
      pieces.push_back({"layer.last", DType::kInt32, {kLastNumel}, 0, kLastNumel, values.data()});
    }
    return pieces;
  }

  static std::vector<float> State(int64_t step) {
    std::vector<float> values(kCutNumel);
    for (int64_t i = 0; i < kCutNumel; ++i) values[i] = Value(step, i);
    return values;
  }

  // What each rank got.
  std::vector<absl::StatusOr<std::string>> SaveOn(int world_size, int64_t step, int64_t keep = 3) {
    std::vector<absl::StatusOr<std::string>> results(world_size, absl::UnknownError("not called"));
    const std::vector<float> values = State(step);
    RunRanks(world_size, [&](Communicator& communicator) {
      const int rank = communicator.rank();
      results[rank] = SaveCheckpoint(communicator, folder_, Info(step), Pieces(rank, world_size, values), keep);
    });
    return results;
  }

  void Save(int64_t step, int64_t keep = 3) {
    const auto result = SaveOn(1, step, keep)[0];
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(*result, Path(step));
  }

  std::string Path(int64_t step) const {
    const std::string digits = absl::StrCat(step);
    return absl::StrCat(folder_, "/step-", std::string(8 - digits.size(), '0'), digits);
  }

  static void ExpectHolds(const CheckpointReader& reader, int64_t step) {
    EXPECT_EQ(reader.info().step, step);
    std::vector<float> cut(kCutNumel), whole(kWholeNumel);
    ASSERT_TRUE(reader.Read("optimizer.cut", 0, kCutNumel, cut.data()).ok());
    EXPECT_EQ(cut, State(step));
    ASSERT_TRUE(reader.Read("layer.whole", 0, kWholeNumel, whole.data()).ok());
    EXPECT_EQ(whole[7], Value(step, 7));
  }

  // Changes one byte of a file.
  static void Flip(const std::string& path, int64_t at) {
    std::string contents = ReadFile(path).value();
    contents.at(at < 0 ? contents.size() + at : at) ^= 16;
    ASSERT_TRUE(WriteFileDurably(path, contents).ok());
  }

  std::string folder_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_TEST_CHECKPOINT_H_
