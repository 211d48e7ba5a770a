#include "sharding/event.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(EventTest, DefaultIsDoneAndOk) {
  Event event;
  EXPECT_TRUE(event.IsDone());
  EXPECT_TRUE(event.Wait().ok());
}

TEST(EventTest, DoneKeepsItsStatus) {
  const Event event = Event::Done(absl::AbortedError("gone"));
  EXPECT_TRUE(event.IsDone());
  EXPECT_EQ(event.Wait(), absl::AbortedError("gone"));
  EXPECT_EQ(event.Wait(), absl::AbortedError("gone"));
}

TEST(EventTest, CopiesShareOneState) {
  const Event event = Event::Pending();
  const Event copy = event;
  EXPECT_FALSE(copy.IsDone());
  event.Finish(absl::OkStatus());
  EXPECT_TRUE(copy.IsDone());
  EXPECT_TRUE(copy.Wait().ok());
}

TEST(EventTest, WaitSeesWhatTheLaneWroteBeforeFinish) {
  for (int round = 0; round < 200; ++round) {
    int value = 0;  // plain: the event is the only thing that orders the two accesses
    const Event event = Event::Pending();
    std::thread lane([&value, event] {
      value = 42;
      event.Finish(absl::InternalError("with a message that is shared by nobody"));
    });
    EXPECT_EQ(event.Wait().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(value, 42);
    lane.join();
  }
}

TEST(EventTest, ManyWaitersAllGetTheStatus) {
  const Event event = Event::Pending();
  std::vector<absl::Status> seen(4);
  std::vector<std::thread> waiters;
  for (absl::Status& status : seen) waiters.emplace_back([&status, event] { status = event.Wait(); });
  event.Finish(absl::AbortedError("rank 1 left"));
  for (std::thread& waiter : waiters) waiter.join();
  for (const absl::Status& status : seen) EXPECT_EQ(status, absl::AbortedError("rank 1 left"));
}

TEST(EventDeathTest, FinishTwiceIsABug) {
  const Event event = Event::Pending();
  event.Finish(absl::OkStatus());
  EXPECT_DEATH(event.Finish(absl::OkStatus()), "Finish called twice");
}

}  // namespace
}  // namespace stowage
