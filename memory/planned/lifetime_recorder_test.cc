#include "memory/planned/lifetime_recorder.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "memory/planned/lifetimes.h"
#include "memory/pool/pool.h"

namespace stowage {
namespace {

class LifetimeRecorderTest : public testing::Test {
 protected:
  std::unique_ptr<Pool> pool_ = *Pool::Create(PoolOptions{size_t{1} << 32});
  LifetimeRecorder recorder_{*pool_};
};

TEST_F(LifetimeRecorderTest, TimeCountsAllocations) {
  recorder_.Start();
  void* a = recorder_.Allocate(100);
  void* b = recorder_.Allocate(200);
  recorder_.Free(b, 200);
  void* c = recorder_.Allocate(300);
  recorder_.Free(a, 100);
  recorder_.Free(c, 300);
  const Lifetimes lifetimes = recorder_.Stop();
  ASSERT_EQ(lifetimes.size(), 3);
  EXPECT_EQ(lifetimes[0].bytes, 100);
  EXPECT_EQ(lifetimes[0].death, 3);
  EXPECT_EQ(lifetimes[1].death, 2) << "freed before the third was asked for";
  EXPECT_EQ(lifetimes[2].death, 3);
  EXPECT_EQ(PeakLiveBytes(lifetimes), 128 + 320) << "b and c are never held together";
  EXPECT_EQ(recorder_.outstanding(), 0);
}

TEST_F(LifetimeRecorderTest, WhatIsHeldAtTheEndOutlivesAndWhatIsOlderIsNotRecorded) {
  void* old = recorder_.Allocate(64);
  recorder_.Start();
  void* kept = recorder_.Allocate(128);
  recorder_.Free(old, 64);
  const Lifetimes lifetimes = recorder_.Stop();
  ASSERT_EQ(lifetimes.size(), 1);
  EXPECT_FALSE(lifetimes[0].planned());
  EXPECT_EQ(PeakLiveBytes(lifetimes), 0);
  EXPECT_EQ(recorder_.outstanding(), 1);
  recorder_.Free(kept, 128);
  EXPECT_EQ(recorder_.outstanding(), 0);
  recorder_.Start();
  EXPECT_TRUE(recorder_.Stop().empty()) << "each record is of its own step";
}

TEST_F(LifetimeRecorderTest, OtherThreadsAllocationsAreNotRecordedTheirFreesAre) {
  recorder_.Start();
  void* mine = recorder_.Allocate(1000);
  void* theirs = nullptr;
  std::thread([&] {
    theirs = recorder_.Allocate(5000);
    recorder_.Free(mine, 1000);
  }).join();
  void* next = recorder_.Allocate(2000);
  recorder_.Free(theirs, 5000);
  recorder_.Free(next, 2000);
  const Lifetimes lifetimes = recorder_.Stop();
  ASSERT_EQ(lifetimes.size(), 2);
  EXPECT_EQ(lifetimes[0].death, 1);
  EXPECT_EQ(lifetimes[1].bytes, 2000);
}

TEST_F(LifetimeRecorderTest, ARefusalIsNotRecorded) {
  pool_->SetLimit(1 << 20);
  recorder_.Start();
  EXPECT_EQ(recorder_.Allocate(size_t{1} << 30), nullptr);
  EXPECT_TRUE(recorder_.Stop().empty());
}

}  // namespace
}  // namespace stowage
