#include "trainer/data/token_dataset.h"

#include <numeric>
#include <set>

#include "trainer/data/test_files.h"

namespace stowage {
namespace {

class TokenDatasetTest : public DataTest {
 protected:
  // Tokens 0, 1, 2, ...
  absl::StatusOr<std::unique_ptr<TokenDataset>> Counting(int64_t tokens, int64_t context, TokenDataset::Use use) {
    std::vector<uint16_t> numbers(tokens);
    std::iota(numbers.begin(), numbers.end(), 0);
    auto file = TokenFile::Open(Write("counting.bin", Bytes(numbers)), DataFormat::kNanoGpt, 0);
    EXPECT_TRUE(file.ok()) << file.status();
    std::vector<std::unique_ptr<TokenFile>> files;
    files.push_back(*std::move(file));
    return TokenDataset::Create(TokenSequence(std::move(files)), context, use);
  }

  static std::vector<int64_t> Values(const Batch& batch, const char* name) {
    const at::Tensor& tensor = batch.at(name);
    EXPECT_EQ(tensor.scalar_type(), at::kLong);
    EXPECT_TRUE(tensor.is_contiguous());
    const int64_t* data = tensor.const_data_ptr<int64_t>();
    return std::vector<int64_t>(data, data + tensor.numel());
  }
};

TEST_F(TokenDatasetTest, TargetsAreTheNextTokens) {
  auto data = Counting(100, 4, TokenDataset::Use::kTrain);
  ASSERT_TRUE(data.ok()) << data.status();
  auto batch = (*data)->Read({{0, 2}, {0, 0}});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->at("tokens").sizes(), (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(Values(*batch, "tokens"), (std::vector<int64_t>{8, 9, 10, 11, 0, 1, 2, 3}));
  EXPECT_EQ(Values(*batch, "targets"), (std::vector<int64_t>{9, 10, 11, 12, 1, 2, 3, 4}));
  EXPECT_EQ(batch->samples, 2);
  EXPECT_EQ(batch->loss_terms, 8);
}

TEST_F(TokenDatasetTest, NoSamplesMakeANullMicroBatch) {
  auto data = Counting(100, 4, TokenDataset::Use::kTrain);
  auto batch = (*data)->Read({});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->samples, 0);
  EXPECT_EQ(batch->loss_terms, 0);
  EXPECT_EQ(batch->at("tokens").sizes(), (std::vector<int64_t>{0, 4}));
}

TEST_F(TokenDatasetTest, EveryEpochHasRoomForItsShift) {
  for (int64_t tokens : {9, 10, 16, 17, 40, 41, 42, 43, 1000}) {
    auto data = Counting(tokens, 8, TokenDataset::Use::kTrain);
    ASSERT_TRUE(data.ok()) << data.status();
    std::set<int64_t> shifts;
    for (int64_t epoch = 0; epoch < 100; ++epoch) {
      auto batch = (*data)->Read({{epoch, (*data)->size() - 1}});
      ASSERT_TRUE(batch.ok()) << tokens << " tokens, epoch " << epoch << ": " << batch.status();
      EXPECT_LT(Values(*batch, "targets").back(), tokens);
      shifts.insert((*data)->Shift(epoch));
    }
    EXPECT_LT(*shifts.rbegin(), 8);
    if (tokens >= 16) {
      EXPECT_EQ(shifts.size(), 8) << tokens;  // all of them come up
    }
  }
}

TEST_F(TokenDatasetTest, EpochZeroIsNotShiftedAndLaterOnesAre) {
  auto data = Counting(1000, 16, TokenDataset::Use::kTrain);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ((*data)->Shift(0), 0);
  auto batch = (*data)->Read({{0, 1}, {1, 1}});
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(Values(*batch, "tokens")[0], 16);
  EXPECT_EQ(Values(*batch, "tokens")[16], 16 + (*data)->Shift(1));
}

// Other programs compute the same (docs/data.md).
TEST_F(TokenDatasetTest, ShiftsNeverChange) {
  auto data = Counting(1000, 16, TokenDataset::Use::kTrain);
  ASSERT_TRUE(data.ok());
  std::vector<int64_t> shifts;
  for (int64_t epoch = 0; epoch < 6; ++epoch) shifts.push_back((*data)->Shift(epoch));
  EXPECT_EQ(shifts, (std::vector<int64_t>{0, 4, 3, 5, 3, 15}));
}

TEST_F(TokenDatasetTest, ValidationHasEachWholeWindowOnceWithoutShift) {
  auto data = Counting(42, 8, TokenDataset::Use::kValidation);
  ASSERT_TRUE(data.ok());
  ASSERT_EQ((*data)->size(), 5);
  std::vector<int64_t> seen;
  for (int64_t i = 0; i < 5; ++i) {
    auto batch = (*data)->Read({{3, i}});
    ASSERT_TRUE(batch.ok());
    for (int64_t target : Values(*batch, "targets")) seen.push_back(target);
  }
  std::vector<int64_t> expected(40);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(seen, expected);
}

TEST_F(TokenDatasetTest, TooFewTokensForOneWindowIsSaid) {
  EXPECT_TRUE(Counting(9, 8, TokenDataset::Use::kTrain).ok());
  auto data = Counting(8, 8, TokenDataset::Use::kTrain);
  EXPECT_EQ(data.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Says(data.status(), {"counting.bin", "8 tokens", "= 9"}));
}

TEST_F(TokenDatasetTest, SamplesOutsideAreRefused) {
  auto data = Counting(100, 8, TokenDataset::Use::kTrain);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ((*data)->Read({{0, (*data)->size()}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*data)->Read({{0, -1}}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
