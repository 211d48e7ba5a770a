#include "trainer/run/same_schedule.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "sharding/in_process_group.h"
#include "trainer/schedule/planner.h"

namespace stowage {
namespace {

struct Rank {
  ModelShape model;
  std::vector<int64_t> numel = {640, 8};
  int micro_batches = 2;
};

std::vector<absl::Status> CheckOnThree(const std::function<void(int rank, Rank*)>& meddle) {
  const auto communicators = InProcessGroup::Create(3);
  std::vector<absl::Status> statuses(3);
  std::vector<std::thread> threads;
  for (int r = 0; r < 3; ++r) {
    threads.emplace_back([&, r] {
      Rank rank;
      rank.model.segments = {"embedding", "head"};
      rank.model.groups = {"wte", "norm"};
      rank.model.groups_used = {{0}, {1}};
      meddle(r, &rank);
      statuses[r] =
          CheckSameSchedule(WriteTrainStep(rank.model, rank.micro_batches), rank.model, rank.numel, *communicators[r]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

TEST(SameScheduleTest, EqualOnesPassWhateverTheMicroBatches) {
  for (const absl::Status& status : CheckOnThree([](int r, Rank*rank) { rank->micro_batches = 1 + r; })) {
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(SameScheduleTest, AnotherOrderOnOneRankIsToldToAll) {
  for (const absl::Status& status : CheckOnThree([](int r, Rank*rank) {
         if (r == 2) rank->model.groups_used = {{1}, {0}};
       })) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("collective 1 of rank 0: \"reduce norm (8 elements)\", of rank 2: \"reduce wte"),
              std::string::npos)
        << status;
  }
}

TEST(SameScheduleTest, AnotherSizeOnOneRankIsToldToAll) {
  for (const absl::Status& status : CheckOnThree([](int r, Rank*rank) {
         if (r == 1) rank->numel[0] = 641;
       })) {
    EXPECT_NE(status.message().find("of rank 1: \"reduce wte (641 elements)\""), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace stowage
