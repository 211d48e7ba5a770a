#include "sharding/dry_communicator.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "sharding/agreement.h"
#include "sharding/in_process_group.h"

namespace stowage {
namespace {

TEST(DryCommunicatorTest, CollectivesEndAtOnceAndTouchNothing) {
  DryCommunicator communicator(1024, 8);
  EXPECT_EQ(communicator.world_size(), 1024);
  EXPECT_EQ(communicator.placement().local_size, 8);
  // Addresses that nothing may be read from or written to.
  auto *nowhere = reinterpret_cast<void *>(0x1000);
  EXPECT_TRUE(communicator.AllReduce(nowhere, 4096, DType::kFloat32).Wait().ok());
  EXPECT_TRUE(communicator.Broadcast(nowhere, 4096, 0).Wait().ok());
  auto *elsewhere = reinterpret_cast<void *>(0x10000000);
  EXPECT_TRUE(communicator.AllGather(nowhere, elsewhere, 16, DType::kFloat32).Wait().ok());
}

TEST(DryCommunicatorTest, AWrongRequestIsRefusedAsByOthers) {
  DryCommunicator communicator(2, 1);
  EXPECT_TRUE(absl::IsInvalidArgument(communicator.AllReduce(nullptr, 8, DType::kFloat32).Wait()));
  EXPECT_TRUE(absl::IsInvalidArgument(communicator.Broadcast(nullptr, 8, 5).Wait()));
}

TEST(DryCommunicatorTest, AllRanksSayWhatThisOneSays) {
  DryCommunicator communicator(3, 3);
  AgreementWords words;
  words.tokens = 5;
  const absl::StatusOr<AgreementVerdict> verdict = Agree(communicator, words);
  ASSERT_TRUE(verdict.ok()) << verdict.status();
  EXPECT_EQ(verdict->tokens, 15);
  EXPECT_FALSE(AgreeOnStatus(communicator, absl::InternalError("x")).ok());
}

// The same calls among ranks that exist.
TEST(DryCommunicatorTest, CountsTheBytesThatRankZeroOfARealGroupSends) {
  constexpr int kRanks = 3;
  std::array<float, 12> a{}, b{}, c{};
  std::vector<std::unique_ptr<Communicator>> real = InProcessGroup::Create(kRanks);
  const auto play = [](Communicator &communicator, std::array<float, 12> &data) {
    std::vector<Event> events;
    events.push_back(communicator.AllReduce(data.data(), 10, DType::kFloat32));
    events.push_back(communicator.ReduceScatter(data.data(), data.data() + communicator.rank() * 4, 4, DType::kFloat32));
    events.push_back(communicator.AllGather(data.data() + communicator.rank() * 2, data.data(), 2, DType::kFloat32));
    events.push_back(communicator.Broadcast(data.data(), 48, 0));
    return events;
  };
  std::vector<Event> all;
  int r = 0;
  for (auto *data : {&a, &b, &c}) {
    for (Event &event : play(*real[r++], *data))
      all.push_back(event);
  }
  for (Event &event : all)
    EXPECT_TRUE(event.Wait().ok());
  DryCommunicator dry(kRanks, kRanks);
  std::array<float, 12> d{};
  play(dry, d);
  EXPECT_GT(dry.bytes_sent(), 0);
  EXPECT_EQ(dry.bytes_sent(), real[0]->bytes_sent());
}

} // namespace
} // namespace stowage
