#include "memory/trace/allocation_trace.h"

#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "memory/trace/repeated_step.h"

namespace stowage {
namespace {

std::string TempPath(const std::string& name) { return testing::TempDir() + "/" + name; }

// Weights; then two steps, each of which drops the batch of the one before and leaves its own.
AllocationTrace TwoSteps() {
  AllocationTrace trace;
  trace.name = "two steps";
  trace.events = {{0, 0, 1000}, {1, 0, 64}};
  int next = 2;
  int batch = 1;
  for (int step = 0; step < 3; ++step) {
    trace.steps.push_back(static_cast<int64_t>(trace.events.size()));
    if (step == 2) break;
    trace.events.push_back({next, 0, 64});  // the new batch comes before the old one goes
    trace.events.push_back({batch, 0, 0});
    batch = next++;
    trace.events.push_back({next, 1, 500});
    trace.events.push_back({next++, 0, 0});
  }
  return trace;
}

TEST(AllocationTraceTest, WhatIsWrittenIsRead) {
  const AllocationTrace trace = TwoSteps();
  const std::string path = TempPath("two.trace.gz");
  ASSERT_TRUE(WriteAllocationTrace(path, trace).ok());
  const absl::StatusOr<AllocationTrace> read = ReadAllocationTrace(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, trace.name);
  EXPECT_EQ(read->steps, trace.steps);
  ASSERT_EQ(read->events.size(), trace.events.size());
  for (size_t i = 0; i < trace.events.size(); ++i) {
    EXPECT_EQ(read->events[i].block, trace.events[i].block) << i;
    EXPECT_EQ(read->events[i].thread, trace.events[i].thread) << i;
    EXPECT_EQ(read->events[i].bytes, trace.events[i].bytes) << i;
  }
}

TEST(AllocationTraceTest, NonsenseIsRefusedWithItsLine) {
  const std::string path = TempPath("nonsense.trace");
  const auto error_of = [&](const std::string& text) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    std::fputs(text.c_str(), file);
    std::fclose(file);
    return std::string(ReadAllocationTrace(path).status().message());
  };
  EXPECT_NE(error_of("something else\n").find("no trace"), std::string::npos);
  EXPECT_NE(error_of("").find("no trace"), std::string::npos);
  EXPECT_NE(error_of("stowage allocations 1\n+ 10 0\n- 0 0\n- 0 0\n").find(":4:"), std::string::npos);  // twice
  EXPECT_NE(error_of("stowage allocations 1\n+ -10 0\n").find(":2:"), std::string::npos);
  EXPECT_NE(error_of("stowage allocations 1\n+ 10 0 7\n").find(":2:"), std::string::npos);
  EXPECT_FALSE(ReadAllocationTrace(TempPath("none at all")).ok());
}

TEST(RepeatedStepTest, WhatAStepLeavesBehindTakesThePlaceOfWhatItDropped) {
  const absl::StatusOr<RepeatedStep> step = RepeatLastStep(TwoSteps());
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(step->allocations, 2);
  EXPECT_EQ(step->allocated_bytes, 564);
  EXPECT_EQ(step->peak_live_bytes, 1000 + 64 + 500);
  ASSERT_EQ(step->carry.size(), 1u);
  std::vector<SlotBlock> blocks(step->slots);
  std::vector<char> storage(100);
  int64_t live = 0;
  int next = 0;
  const auto allocate = [&](int64_t bytes) -> void* {
    live += bytes;
    return &storage[next++];
  };
  const auto free = [&](void* block, int64_t bytes) {
    ASSERT_NE(block, nullptr);
    live -= bytes;
  };
  Play(step->before, blocks, allocate, free);
  EXPECT_EQ(live, 1064);
  for (int round = 0; round < 5; ++round) {
    Play(step->step, blocks, allocate, free);
    Carry(*step, blocks);
    EXPECT_EQ(live, 1064);
  }
}

TEST(RepeatedStepTest, AStepThatGrowsIsRefused) {
  AllocationTrace trace = TwoSteps();
  trace.events.push_back({100, 0, 77});
  trace.steps.back() += 1;
  EXPECT_NE(RepeatLastStep(trace).status().message().find("77 bytes"), absl::string_view::npos);
  trace.steps.resize(1);
  EXPECT_NE(RepeatLastStep(trace).status().message().find("no whole step"), absl::string_view::npos);
}

}  // namespace
}  // namespace stowage
