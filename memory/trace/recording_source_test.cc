#include "memory/trace/recording_source.h"

#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "memory/pool/pool.h"

namespace stowage {
namespace {

TEST(RecordingSourceTest, WritesDownWhatItPassesOn) {
  const auto pool = *Pool::Create(PoolOptions());
  RecordingSource source("a name", pool.get());
  void* a = source.Allocate(100);
  source.MarkStep();
  void* b = source.Allocate(200000);
  source.Free(a, 100);
  const AllocationTrace trace = source.Stop();
  source.Free(b, 200000);  // passed on, not recorded
  EXPECT_TRUE(pool->Contains(a));
  EXPECT_EQ(pool->Statistics().live, 2 * 4096);  // a's span, which this thread keeps
  EXPECT_EQ(trace.name, "a name");
  EXPECT_EQ(trace.steps, std::vector<int64_t>{1});
  ASSERT_EQ(trace.events.size(), 3u);
  EXPECT_EQ(trace.events[1].bytes, 200000);
  EXPECT_EQ(trace.events[2].block, 0);
  EXPECT_EQ(trace.events[2].bytes, 0);
}

// Addresses come again at once, on other threads: the order of what is written must still make sense.
TEST(RecordingSourceTest, BlocksOfManyThreadsAreFreedOnceAndAfterTheyWereMade) {
  const auto pool = *Pool::Create(PoolOptions());
  RecordingSource source("threads", pool.get());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        void* block = source.Allocate(40000);
        source.Free(block, 40000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const AllocationTrace trace = source.Stop();
  ASSERT_EQ(trace.events.size(), 40000u);
  std::set<int> live;
  for (const AllocationEvent& event : trace.events) {
    if (event.bytes > 0) {
      ASSERT_TRUE(live.insert(event.block).second);
    } else {
      ASSERT_EQ(live.erase(event.block), 1u);
    }
  }
  EXPECT_TRUE(live.empty());
}

}  // namespace
}  // namespace stowage
