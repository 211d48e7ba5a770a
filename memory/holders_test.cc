#include "memory/holders.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "memory/name_scope.h"
#include "memory/thread_counts.h"

namespace stowage {
namespace {

BlockHeader Block(int64_t bytes, const char* name = "", const char* instruction = "") {
  BlockHeader block;
  block.bytes = bytes;
  block.name = Label(name);
  block.instruction = Label(instruction);
  return block;
}

TEST(LabelTest, EqualTextsAreOneLabelAndNoTextIsNone) {
  EXPECT_EQ(Label("h.3.attn"), Label("h.3.attn"));
  EXPECT_NE(Label("h.3.attn"), Label("h.3.mlp"));
  EXPECT_EQ(Label("h.3.attn").text(), "h.3.attn");
  EXPECT_EQ(Label(""), Label());
  EXPECT_EQ(Label().text(), "");
}

TEST(NameScopeTest, InnermostHoldsAndIsOfTheThreadThatOpenedIt) {
  const Label outer("outer"), inner("inner"), forward("forward h.0");
  EXPECT_EQ(NameScope::Current(), Label());
  {
    NameScope scope(outer);
    InstructionScope instruction(forward);
    {
      NameScope nested(inner);
      EXPECT_EQ(NameScope::Current(), inner);
      EXPECT_EQ(InstructionScope::Current(), forward);
    }
    EXPECT_EQ(NameScope::Current(), outer);
    Label name = outer, played = forward;
    std::thread([&] {
      name = NameScope::Current();
      played = InstructionScope::Current();
    }).join();
    EXPECT_EQ(name, Label());
    EXPECT_EQ(played, Label());
  }
  EXPECT_EQ(NameScope::Current(), Label());
  EXPECT_EQ(InstructionScope::Current(), Label());
}

TEST(HoldersTest, TheLargestAreThoseThatWerePlantedLargestFirst) {
  Holders holders;
  std::vector<BlockHeader> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(Block(1 + (i * 7919) % 1000, "some"));
  for (BlockHeader& block : blocks) holders.Add(&block);
  EXPECT_EQ(holders.size(), 1000);
  std::vector<Holder> largest = holders.Largest(10);
  ASSERT_EQ(largest.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(largest[i].bytes, 1000 - i);

  for (BlockHeader& block : blocks) {
    if (block.bytes > 500) holders.Remove(&block);
  }
  EXPECT_EQ(holders.size(), 500);
  EXPECT_EQ(holders.Largest(1)[0].bytes, 500);
  for (BlockHeader& block : blocks) {
    if (block.bytes <= 500) holders.Remove(&block);
  }
  EXPECT_TRUE(holders.Largest(10).empty());
  EXPECT_TRUE(holders.Largest(0).empty());
}

TEST(HoldersTest, ABlockTellsItsOwnNameElseItsScopesAndTheInstructionThatMadeIt) {
  Holders holders;
  BlockHeader scoped = Block(3 << 20, "h.3.attn gradients", "backward h.3.attn");
  scoped.category = Category::kGradients;
  BlockHeader named = Block(2 << 20, "scope");
  named.category = Category::kParameters;
  BlockHeader bare = Block(100);
  bare.place = Place::kDisk;
  for (BlockHeader* block : {&scoped, &bare}) holders.Add(block);
  holders.Describe(&named, std::make_unique<BlockDescription>(BlockDescription{"wte", {1024, 512}, DType::kFloat32}));
  const std::vector<Holder> largest = holders.Largest(10);
  ASSERT_EQ(largest.size(), 3u);
  EXPECT_EQ(HolderText(largest[0]), "3 MiB gradients: h.3.attn gradients, made by backward h.3.attn");
  EXPECT_EQ(HolderText(largest[1]), "2 MiB parameters: wte [1024, 512] F32");
  EXPECT_EQ(HolderText(largest[2]), "100 B workspace on disk");
  for (BlockHeader* block : {&scoped, &named, &bare}) holders.Remove(block);
  EXPECT_EQ(named.description, nullptr);
  EXPECT_EQ(holders.size(), 0);
}

TEST(HoldersTest, EightThreadsAddAndRemoveWhileOthersLook) {
  Holders holders;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&holders, t] {
      std::vector<BlockHeader> blocks(32);
      for (int i = 0; i < 5000; ++i) {
        BlockHeader& block = blocks[i % 32];
        if (block.listed) holders.Remove(&block);
        block.bytes = 1 + i;
        if (i % 3 == 0) holders.Describe(&block, std::make_unique<BlockDescription>());
        if (i % 3 != 0) holders.Add(&block);
        if (i % 1000 == t) {
          EXPECT_FALSE(holders.Largest(10).empty());
        }
      }
      for (BlockHeader& block : blocks) {
        if (block.listed) holders.Remove(&block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(holders.size(), 0);
}

TEST(ThreadCountsTest, EveryThreadHasItsOwnAndEndedOnesAreKeptTogether) {
  const auto sum = [](const std::vector<ThreadCount>& counts) {
    ThreadCount all;
    for (const ThreadCount& count : counts) {
      all.allocations += count.allocations;
      all.bytes += count.bytes;
    }
    return all;
  };
  CountAllocation(1);
  const std::vector<ThreadCount> before = ThreadCounts();
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 1000 * t; ++i) CountAllocation(10);
      for (const ThreadCount& count : ThreadCounts()) {
        if (count.thread_id != syscall(SYS_gettid)) continue;
        EXPECT_EQ(count.allocations, 1000 * t);
        EXPECT_EQ(count.bytes, 10000 * t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<ThreadCount> after = ThreadCounts();
  ASSERT_EQ(after.size(), before.size());  // the four have ended
  EXPECT_EQ(after[0].thread_id, 0);
  EXPECT_EQ(after[0].allocations - before[0].allocations, 10000);
  EXPECT_EQ(after[0].bytes - before[0].bytes, 100000);
  EXPECT_EQ(sum(after).allocations - sum(before).allocations, 10000);
  EXPECT_GT(after[1].thread_id, 0);
  EXPECT_EQ(after[1].allocations, before[1].allocations);
}

TEST(ThreadCountsTest, WhatOthersAllocateIsToldFromWhatATeamAllocatesForThisThread) {
  const int64_t before = AllocationsOfOtherThreads();
  std::thread([] { CountAllocation(10); }).join();
  CountAllocation(10);
  EXPECT_EQ(AllocationsOfOtherThreads(), before + 1);
  {
    const TeamScope team;
    std::thread([] { CountAllocation(10); }).join();
  }
  EXPECT_EQ(AllocationsOfOtherThreads(), before + 1);
  std::thread([] { CountAllocation(10); }).join();
  EXPECT_EQ(AllocationsOfOtherThreads(), before + 2);
}

}  // namespace
}  // namespace stowage
