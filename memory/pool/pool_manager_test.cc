#include "memory/pool/pool_manager.h"

#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "memory/pool/overflow_source.h"
#include "memory/system_source.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(PoolManagerTest, NamesAreHostMemoryOrRefused) {
  PoolManager pools;
  EXPECT_TRUE(pools.Get("cpu").ok());
  EXPECT_TRUE(pools.Get("cpu:staging").ok());
  EXPECT_EQ(*pools.Get("cpu"), *pools.Get("cpu"));
  EXPECT_NE(*pools.Get("cpu"), *pools.Get("cpu:staging"));
  EXPECT_EQ(pools.Get("cuda:0").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(pools.MostIdle("cuda:0").status().code(), absl::StatusCode::kUnimplemented);
  for (const std::string name : {"", "gpu", "cpu:", "cpus"}) {
    EXPECT_EQ(pools.Get(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(PoolManagerTest, CpuIsThePoolThatWasGiven) {
  const auto pool = *Pool::Create(PoolOptions());
  PoolManager pools(pool.get());
  EXPECT_EQ(*pools.Get("cpu"), pool.get());
}

TEST(PoolManagerTest, BlocksOfTwoPoolsDoNotMix) {
  PoolManager pools;
  Pool* const a = *pools.Get("cpu:a");
  Pool* const b = *pools.Get("cpu:b");
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) {
    blocks.push_back((i % 2 == 0 ? a : b)->Allocate(1000 + 1000 * i));
    EXPECT_EQ(a->Contains(blocks.back()), i % 2 == 0);
    EXPECT_EQ(b->Contains(blocks.back()), i % 2 == 1);
  }
  for (int i = 0; i < 100; ++i) (i % 2 == 0 ? a : b)->Free(blocks[i], 1000 + 1000 * i);
  EXPECT_EQ(a->Statistics().allocations, 50);
  EXPECT_EQ(b->Statistics().allocations, 50);
}

TEST(PoolManagerTest, NoMoreIsIdleThanIsAllowed) {
  PoolManager pools;
  Pool* const pool = *pools.Get("cpu");
  EXPECT_EQ(*pools.MostIdle("cpu"), PageHeap::kNoLimit);
  ASSERT_TRUE(pools.SetMostIdle("cpu", 10 * kMiB).ok());
  EXPECT_EQ(*pools.MostIdle("cpu"), 10 * kMiB);
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(pool->Allocate(kMiB));
  for (void* block : blocks) {
    pool->Free(block, kMiB);
    EXPECT_LE(pool->Statistics().idle, 10 * kMiB);
  }
  EXPECT_EQ(pool->Statistics().idle, 10 * kMiB);
  ASSERT_TRUE(pools.SetMostIdle("cpu", 0).ok());
  EXPECT_EQ(pool->Statistics().resident, 0);
  EXPECT_EQ(pools.SetMostIdle("cpu", -1).code(), absl::StatusCode::kInvalidArgument);
}

// 40 blocks that need new pages, then 60 that do not.
TEST(PoolManagerTest, ReportTellsTheHitRateAndMegabytes) {
  PoolManager pools;
  Pool* const pool = *pools.Get("cpu");
  EXPECT_TRUE(pools.Get("cpu:unused").ok());
  std::vector<void*> blocks;
  for (int i = 0; i < 40; ++i) blocks.push_back(pool->Allocate(250 * 4096));
  for (void* block : blocks) pool->Free(block, 250 * 4096);
  for (int i = 0; i < 60; ++i) pool->Free(pool->Allocate(250 * 4096), 250 * 4096);
  EXPECT_EQ(pools.Report(),
            "hit rate 60.0 % over 2 pools, 100 allocations\n"
            "cpu: hit rate 60.0 %, 41.0 MB now, 41.0 MB at its peak\n"
            "cpu:unused: hit rate 0.0 %, 0.0 MB now, 0.0 MB at its peak");
  EXPECT_EQ(pools.Statistics().at("cpu").peak_resident, 40 * 250 * 4096);
  pool->Trim();
  EXPECT_EQ(pools.Statistics().at("cpu").resident, 0);
  EXPECT_EQ(pools.Statistics().at("cpu").peak_resident, 40 * 250 * 4096);
}

TEST(OverflowSourceTest, WhatThePoolRefusesComesFromBehindAndGoesBackThere) {
  PoolOptions options;
  options.limit_bytes = 4 * kMiB;
  const auto pool = *Pool::Create(options);
  SystemSource system;
  OverflowSource source(pool.get(), &system);
  std::vector<char*> blocks;
  for (int i = 0; i < 10; ++i) {
    blocks.push_back(static_cast<char*>(source.Allocate(kMiB)));
    ASSERT_NE(blocks.back(), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back()) % 64, 0u);
    std::memset(blocks.back(), i, kMiB);
    EXPECT_EQ(pool->Contains(blocks.back()), i < 4);
  }
  EXPECT_EQ(source.overflowed(), 6);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(blocks[i][kMiB - 1], i);
    source.Free(blocks[i], kMiB);
  }
  EXPECT_EQ(pool->Statistics().live, 0);
}

}  // namespace
}  // namespace stowage
