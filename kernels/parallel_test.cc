#include "kernels/parallel.h"

#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

using Ranges = std::set<std::pair<int64_t, int64_t>>;

Ranges Split(int64_t n, int64_t grain, int64_t multiple) {
  std::mutex mu;
  Ranges ranges;
  ParallelFor(n, grain, multiple, [&](int64_t begin, int64_t end) {
    const std::lock_guard<std::mutex> lock(mu);
    ranges.emplace(begin, end);
  });
  return ranges;
}

TEST(ParallelForTest, RangesCoverEverythingOnceStartAtMultiplesAndKeepTheGrain) {
  const Machine restore;
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (int64_t n : {1, 5, 15, 16, 17, 33, 1000, 1001}) {
      for (int64_t grain : {1, 7, 100}) {
        for (int64_t multiple : {1, 16}) {
          int64_t next = 0;
          for (const auto& range : Split(n, grain, multiple)) {
            EXPECT_EQ(range.first, next);
            EXPECT_EQ(range.first % multiple, 0);
            EXPECT_LT(range.first, range.second);
            if (range.second != n) {
              EXPECT_GE(range.second - range.first, grain);
            }
            next = range.second;
          }
          EXPECT_EQ(next, n) << "grain " << grain << ", multiple " << multiple << ", threads " << threads;
        }
      }
    }
  }
}

TEST(ParallelForTest, EmptyRangeCallsNothing) { EXPECT_TRUE(Split(0, 1, 1).empty()); }

TEST(ParallelForTest, UsesTheThreadsOfLibTorchsTeam) {
  const Machine restore;
  at::set_num_threads(2);
  std::mutex mu;
  std::set<std::thread::id> ids;
  ParallelFor(2, 1, 1, [&](int64_t, int64_t) {
    const std::lock_guard<std::mutex> lock(mu);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2u) << "is parallel.cc compiled with -fopenmp?";
}

// It must not leave the region on a thread of the team: that would end the process.
TEST(ParallelForTest, WhatAnyThreadThrowsReachesTheCaller) {
  const Machine restore;
  at::set_num_threads(2);
  for (int64_t bad : {0, 1}) {
    EXPECT_THROW(ParallelFor(2, 1, 1,
                             [bad](int64_t begin, int64_t) {
                               if (begin == bad) throw std::bad_alloc();
                             }),
                 std::bad_alloc);
  }
  std::vector<int> done(2, 0);
  ParallelFor(2, 1, 1, [&](int64_t begin, int64_t) { done[begin] = 1; });
  EXPECT_EQ(done, (std::vector<int>{1, 1}));
}

TEST(ParallelForTest, InsideAParallelRegionItRunsSerially) {
  const Machine restore;
  at::set_num_threads(2);
  std::mutex mu;
  std::vector<Ranges> inner;
  ParallelFor(2, 1, 1, [&](int64_t, int64_t) {
    Ranges ranges = Split(100, 1, 1);
    const std::lock_guard<std::mutex> lock(mu);
    inner.push_back(std::move(ranges));
  });
  ASSERT_EQ(inner.size(), 2u);
  for (const Ranges& ranges : inner) EXPECT_EQ(ranges, (Ranges{{0, 100}}));
}

}  // namespace
}  // namespace stowage::kernels
