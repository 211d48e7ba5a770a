#include "sharding/agreement.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sharding/in_process_test_util.h"

namespace stowage {
namespace {

class AgreementTest : public testing::TestWithParam<int> {};

void ExpectSame(const AgreementVerdict& a, const AgreementVerdict& b) {
  EXPECT_EQ(a.loss_sum, b.loss_sum);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.sum_of_squares, b.sum_of_squares);
  EXPECT_EQ(a.non_finite, b.non_finite);
  EXPECT_EQ(a.stop_signal, b.stop_signal);
  EXPECT_EQ(a.save_wanted, b.save_wanted);
  EXPECT_EQ(a.trouble_rank, b.trouble_rank);
  EXPECT_EQ(a.trouble, b.trouble);
}

TEST_P(AgreementTest, VerdictIsTheSameOnAllRanksAndSummedInRankOrder) {
  const int world_size = GetParam();
  std::vector<AgreementVerdict> verdicts(world_size);
  RunRanks(world_size, [&](Communicator& communicator) {
    const int rank = communicator.rank();
    AgreementWords words;
    words.loss_sum = 1.0 / (3.0 + rank);
    words.tokens = 100 + rank;
    words.sum_of_squares = rank == 1 ? 1e17 : 0.7;  // an order that matters: 1e17 swallows what comes after it
    words.non_finite = rank;
    words.stop_signal = rank == world_size - 1 ? 15 : 0;
    words.save_wanted = rank == 0;
    auto verdict = Agree(communicator, words);
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    verdicts[rank] = *verdict;
  });
  double loss_sum = 0.0;
  double sum_of_squares = 0.0;
  for (int rank = 0; rank < world_size; ++rank) {
    loss_sum += 1.0 / (3.0 + rank);
    sum_of_squares += rank == 1 ? 1e17 : 0.7;
  }
  EXPECT_EQ(verdicts[0].loss_sum, loss_sum);
  EXPECT_EQ(verdicts[0].sum_of_squares, sum_of_squares);
  EXPECT_EQ(verdicts[0].tokens, 100 * world_size + world_size * (world_size - 1) / 2);
  EXPECT_EQ(verdicts[0].non_finite, world_size * (world_size - 1) / 2);
  EXPECT_EQ(verdicts[0].stop_signal, 15);
  EXPECT_TRUE(verdicts[0].save_wanted);
  EXPECT_EQ(verdicts[0].trouble_rank, -1);
  for (const AgreementVerdict& verdict : verdicts) ExpectSame(verdict, verdicts[0]);
}

TEST_P(AgreementTest, OnlyRankZeroAsksForATimedSave) {
  RunRanks(GetParam(), [&](Communicator& communicator) {
    AgreementWords words;
    words.save_wanted = communicator.rank() != 0;
    auto verdict = Agree(communicator, words);
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    EXPECT_FALSE(verdict->save_wanted);
  });
}

TEST_P(AgreementTest, LowestRankInTroubleIsNamed) {
  const int world_size = GetParam();
  RunRanks(world_size, [&](Communicator& communicator) {
    AgreementWords words;
    if (communicator.rank() >= world_size / 2) {
      words.trouble = absl::ResourceExhaustedError("rank-" + std::to_string(communicator.rank()));
    }
    auto verdict = Agree(communicator, words);
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    EXPECT_EQ(verdict->trouble_rank, world_size / 2);
    EXPECT_EQ(verdict->trouble, absl::ResourceExhaustedError("rank-" + std::to_string(world_size / 2)));
  });
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, AgreementTest, testing::Values(1, 2, 3, 8),
                         [](const auto& info) { return "World" + std::to_string(info.param); });

class AgreeOnStatusTest : public testing::TestWithParam<int> {};

TEST_P(AgreeOnStatusTest, FirstRanksErrorWinsEverywhere) {
  RunRanks(GetParam(), [&](Communicator& communicator) {
    const int rank = communicator.rank();
    EXPECT_EQ(AgreeOnStatus(communicator, absl::OkStatus()), absl::OkStatus());
    const absl::Status mine =
        rank == 0 ? absl::OkStatus() : absl::NotFoundError("no file: part " + std::to_string(rank));
    EXPECT_EQ(AgreeOnStatus(communicator, mine), absl::NotFoundError("rank 1: no file: part 1"));
  });
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, AgreeOnStatusTest, testing::Values(2, 3, 8),
                         [](const auto& info) { return "World" + std::to_string(info.param); });

TEST(AgreementSoloTest, OneRanksErrorIsItsOwn) {
  RunRanks(1, [](Communicator& communicator) {
    EXPECT_EQ(AgreeOnStatus(communicator, absl::DataLossError("torn")), absl::DataLossError("torn"));
  });
}

TEST(AgreementSoloTest, LongTroubleIsCutBetweenCharacters) {
  RunRanks(1, [](Communicator& communicator) {
    AgreementWords words;
    const std::string fits(kTroubleBytes - 1, 'x');
    words.trouble = absl::InternalError(fits + "\xC3\xA9");  // a two-byte character across the last byte
    auto verdict = Agree(communicator, words);
    ASSERT_TRUE(verdict.ok());
    EXPECT_EQ(verdict->trouble, absl::InternalError(fits));
  });
}

}  // namespace
}  // namespace stowage
