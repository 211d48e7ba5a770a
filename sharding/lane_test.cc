#include "sharding/lane.h"

#include <pthread.h>
#include <signal.h>

#include <vector>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(LaneTest, WorkIsDoneInOrderOnOneOtherThread) {
  std::vector<int> order;  // plain: written by the lane only
  std::vector<std::thread::id> threads;
  {
    Lane lane("test-lane");
    for (int i = 0; i < 100; ++i) {
      lane.Submit([&, i] {
        order.push_back(i);
        threads.push_back(std::this_thread::get_id());
        return absl::OkStatus();
      });
    }
  }
  ASSERT_EQ(order.size(), 100u);  // destruction does what is still queued
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(order[i], i);
    EXPECT_EQ(threads[i], threads[0]);
    EXPECT_NE(threads[i], std::this_thread::get_id());
  }
}

TEST(LaneTest, EventEndsWithTheWorksStatusAndLaterWorkStillRuns) {
  Lane lane("test-lane");
  const Event failed = lane.Submit([] { return absl::DataLossError("torn"); });
  const Event fine = lane.Submit([] { return absl::OkStatus(); });
  EXPECT_EQ(failed.Wait(), absl::DataLossError("torn"));
  EXPECT_TRUE(fine.Wait().ok());
}

TEST(LaneTest, SignalsAreLeftToOtherThreads) {
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Lane lane("test-lane");
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
  bool blocked = false;
  lane.Submit([&] {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
        return absl::OkStatus();
      })
      .Wait()
      .IgnoreError();
  EXPECT_TRUE(blocked);
}

}  // namespace
}  // namespace stowage
