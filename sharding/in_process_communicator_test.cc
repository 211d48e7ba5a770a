#include "sharding/in_process_communicator.h"

#include <atomic>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sharding/collective_cases.h"
#include "sharding/in_process_test_util.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kLargeNumel = 1000003;

class InProcessCollectiveTest : public testing::TestWithParam<int> {};

TEST_P(InProcessCollectiveTest, EveryCaseGivesTheSerialReferencesBits) {
  // Many ranks need not each hold the largest buffers: nothing in the code
  // depends on their size.
  const int64_t large_numel = GetParam() <= 3 ? kLargeNumel : kLargeNumel / 10;
  for (const CollectiveCase &one : CollectiveCases(large_numel)) {
    RunRanks(GetParam(), [&](Communicator &communicator) {
      EXPECT_EQ(one.run(communicator), absl::OkStatus())
          << one.name << " on rank " << communicator.rank();
    });
  }
}

TEST_P(InProcessCollectiveTest, AbortReleasesEveryRankWithTheCause) {
  const int world_size = GetParam();
  RunRanks(world_size, [&](Communicator &communicator) {
    std::vector<float> data(10, 1.0f);
    if (communicator.rank() == world_size - 1)
      communicator.Abort(absl::DataLossError("bad page"));
    // The aborting rank's own calls fail as the others' do; nothing is left to
    // hang on.
    const Event pending =
        communicator.AllReduce(data.data(), 10, DType::kFloat32);
    const absl::Status wanted =
        absl::AbortedError(absl::StrCat("rank ", world_size - 1, ": bad page"));
    EXPECT_EQ(pending.Wait(), wanted);
    EXPECT_EQ(communicator.Barrier(), wanted);
    EXPECT_EQ(communicator.ExchangeText("x").status(), wanted);
  });
}

TEST_P(InProcessCollectiveTest, PlacementNumbersTheRanks) {
  std::vector<int> ranks(GetParam(), -1);
  RunRanks(GetParam(), [&](Communicator &communicator) {
    EXPECT_EQ(communicator.world_size(), GetParam());
    EXPECT_EQ(communicator.placement().local_rank, communicator.rank());
    EXPECT_EQ(communicator.placement().local_size, GetParam());
    ranks[communicator.rank()] = communicator.rank();
  });
  std::vector<int> wanted(GetParam());
  std::iota(wanted.begin(), wanted.end(), 0);
  EXPECT_EQ(ranks, wanted);
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, InProcessCollectiveTest,
                         testing::Values(1, 2, 3, 8), [](const auto &info) {
                           return absl::StrCat("World", info.param);
                         });

TEST(InProcessCommunicatorTest, CallReturnsBeforeThePeerHasCome) {
  auto ranks = InProcessGroup::Create(2);
  float mine = 1.0f;
  float theirs = 2.0f;
  const Event event = ranks[0]->AllReduce(&mine, 1, DType::kFloat32);
  EXPECT_FALSE(event.IsDone());
  EXPECT_TRUE(ranks[1]->AllReduce(&theirs, 1, DType::kFloat32).Wait().ok());
  EXPECT_TRUE(event.Wait().ok());
  EXPECT_EQ(mine, 3.0f);
  EXPECT_EQ(theirs, 3.0f);
}

TEST(InProcessCommunicatorTest, AbortReachesARankThatAlreadyWaits) {
  auto ranks = InProcessGroup::Create(3);
  float data[2] = {1.0f, 1.0f};
  const Event first = ranks[0]->AllReduce(&data[0], 1, DType::kFloat32);
  const Event second = ranks[1]->AllReduce(&data[1], 1, DType::kFloat32);
  ranks[2]->Abort(absl::InternalError("out of luck"));
  EXPECT_EQ(first.Wait(), absl::AbortedError("rank 2: out of luck"));
  EXPECT_EQ(second.Wait(), absl::AbortedError("rank 2: out of luck"));
  EXPECT_EQ(data[0], 1.0f);
}

TEST(InProcessCommunicatorTest, FirstCauseIsKept) {
  auto ranks = InProcessGroup::Create(2);
  ranks[1]->Abort(absl::InternalError("first"));
  ranks[0]->Abort(absl::InternalError("second"));
  EXPECT_EQ(ranks[0]->Barrier(), absl::AbortedError("rank 1: first"));
}

TEST(InProcessCommunicatorTest, ARankThatLeavesReleasesTheOthers) {
  auto ranks = InProcessGroup::Create(2);
  float data = 1.0f;
  const Event event = ranks[0]->AllReduce(&data, 1, DType::kFloat32);
  ranks[1].reset();
  EXPECT_EQ(event.Wait().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(
      absl::StrContains(event.Wait().message(), "rank 1: left the group"))
      << event.Wait();
}

TEST(InProcessCommunicatorTest, DestroyedWithACallPendingDoesNotHang) {
  auto ranks = InProcessGroup::Create(2);
  float data = 1.0f;
  const Event event = ranks[0]->AllReduce(&data, 1, DType::kFloat32);
  ranks[0].reset();
  EXPECT_EQ(event.Wait().code(), absl::StatusCode::kAborted);
}

TEST(InProcessCommunicatorTest, DifferentCallsAreNamedOnAllRanks) {
  RunRanks(2, [](Communicator &communicator) {
    std::vector<float> data(20);
    const absl::Status status =
        communicator
            .AllReduce(data.data(), 10 + communicator.rank(), DType::kFloat32)
            .Wait();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(status.message(),
                                  "rank 0 calls all_reduce of 10 F32"))
        << status;
    EXPECT_TRUE(absl::StrContains(status.message(),
                                  "rank 1 calls all_reduce of 11 F32"))
        << status;
    EXPECT_EQ(communicator.Barrier().code(), absl::StatusCode::kAborted);
  });
}

TEST(InProcessCommunicatorTest, BadArgumentsAreRefusedBeforeAnythingIsSent) {
  auto ranks = InProcessGroup::Create(2);
  std::vector<float> data(20);
  const auto code = [](const Event &event) { return event.Wait().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(ranks[0]->AllReduce(data.data(), -1, DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(code(ranks[0]->AllReduce(nullptr, 1, DType::kFloat32)), kInvalid);
  EXPECT_EQ(code(ranks[0]->AllReduce(data.data(), 1, DType::kUInt8)), kInvalid);
  EXPECT_EQ(code(ranks[0]->Broadcast(data.data(), 4, 2)), kInvalid);
  EXPECT_EQ(code(ranks[0]->AllReduce(data.data(), 1, DType::kInt32,
                                     Reduction::kMean)),
            kInvalid);
  EXPECT_EQ(code(ranks[0]->AllGatherUneven(data.data(), data.data() + 5, {5},
                                           DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(code(ranks[0]->AllGatherUneven(data.data(), data.data() + 5,
                                           {5, -1}, DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(code(ranks[1]->AllGatherUneven(data.data(), data.data(), {5, 5},
                                           DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(code(ranks[0]->AllToAll(data.data(), data.data() + 5, 5,
                                    DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(code(ranks[0]->Send(data.data(), 4, 0)), kInvalid);
  EXPECT_EQ(code(ranks[0]->Send(data.data(), 4, 2)), kInvalid);
  EXPECT_EQ(code(ranks[0]->Receive(nullptr, 4, 1)), kInvalid);
  EXPECT_EQ(code(ranks[0]->Receive(data.data(), -4, 1)), kInvalid);
  EXPECT_EQ(code(ranks[0]->ReduceScatter(data.data(), data.data() + 1, 10,
                                         DType::kFloat32)),
            kInvalid);
  EXPECT_EQ(
      code(ranks[1]->AllGather(data.data(), data.data(), 10, DType::kFloat32)),
      kInvalid);
}

TEST(InProcessCommunicatorTest, AbortEndsAMessageWithoutItsOtherSide) {
  auto ranks = InProcessGroup::Create(3);
  float data[2] = {1.0f, 2.0f};
  const Event send = ranks[0]->Send(&data[0], 4, 1);
  const Event receive = ranks[1]->Receive(&data[1], 4, 2);
  EXPECT_FALSE(send.IsDone());
  ranks[2]->Abort(absl::InternalError("out of luck"));
  EXPECT_EQ(send.Wait(), absl::AbortedError("rank 2: out of luck"));
  EXPECT_EQ(receive.Wait(), absl::AbortedError("rank 2: out of luck"));
  EXPECT_EQ(ranks[0]->Send(&data[0], 4, 1).Wait(),
            absl::AbortedError("rank 2: out of luck"));
}

TEST(InProcessCommunicatorTest, AMessageOfTwoSizesIsNamedOnBothSides) {
  auto ranks = InProcessGroup::Create(2);
  char data[16] = {};
  const Event send = ranks[0]->Send(data, 9, 1);
  const absl::Status receive = ranks[1]->Receive(data, 8, 0).Wait();
  EXPECT_EQ(receive.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(
      receive.message(), "rank 0 sends 9 bytes to rank 1, which expects 8"))
      << receive;
  EXPECT_EQ(send.Wait(), receive);
}

TEST(InProcessCommunicatorTest, DifferentReductionsAreNamed) {
  RunRanks(2, [](Communicator &communicator) {
    float data = 1.0f;
    const Reduction op =
        communicator.rank() == 0 ? Reduction::kSum : Reduction::kMax;
    const absl::Status status =
        communicator.AllReduce(&data, 1, DType::kFloat32, op).Wait();
    EXPECT_TRUE(
        absl::StrContains(status.message(), "all_reduce (max) of 1 F32"))
        << status;
  });
}

TEST(InProcessCommunicatorTest, TwoGroupsOfOneProcessDoNotMeet) {
  RunRanks(2, [](Communicator &outer) {
    RunRanks(2, [&](Communicator &inner) {
      int64_t value = 1 + outer.rank() * 10;
      EXPECT_TRUE(inner.AllReduce(&value, 1, DType::kInt64).Wait().ok());
      EXPECT_EQ(value, 2 * (1 + outer.rank() * 10));
    });
  });
}

} // namespace
} // namespace stowage
