#include "sharding/launch.h"

#include <thread>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(LaunchTest, AloneIsSolo) {
  ASSERT_FALSE(UnderLauncher()) << "this test must not itself run under mpirun";
  const auto communicator = Launch("auto");
  ASSERT_TRUE(communicator.ok()) << communicator.status();
  EXPECT_EQ((*communicator)->name(), "solo");
}

TEST(LaunchTest, BackendsThatAreNotThereAreRefused) {
  EXPECT_EQ(Launch("nccl").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Launch("gloo").status().code(), absl::StatusCode::kInvalidArgument);
}

// The only test of this binary that starts MPI: a process can do that once.
TEST(LaunchTest, MpiAloneIsOneRankAndCannotBeStartedTwice) {
  {
    const auto communicator = Launch("mpi");
    ASSERT_TRUE(communicator.ok()) << communicator.status();
    EXPECT_EQ((*communicator)->name(), "mpi");
    EXPECT_EQ((*communicator)->world_size(), 1);
    EXPECT_EQ((*communicator)->placement().local_size, 1);
    float value = 3.0f;
    EXPECT_TRUE((*communicator)->AllReduce(&value, 1, DType::kFloat32).Wait().ok());
    EXPECT_EQ(value, 3.0f);
    EXPECT_EQ(Launch("mpi").status().code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(Launch("mpi").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(LaunchTest, PlanThreadsRefusesNegativeNumbersAndTakesWhatItIsAskedFor) {
  std::thread([] {
    EXPECT_EQ(PlanThreads(Placement(), -1).status().code(), absl::StatusCode::kInvalidArgument);
    const auto plan = PlanThreads(Placement(), 3);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->threads, 3);
  }).join();
}

TEST(LaunchTest, MpiVersionIsOneLine) {
  EXPECT_FALSE(MpiVersion().empty());
  EXPECT_EQ(MpiVersion().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace stowage
