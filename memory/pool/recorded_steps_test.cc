// Steps as they were recorded from training: what the pool holds for them, and that it touches nothing new once it has.
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "memory/pool/pool.h"
#include "memory/trace/allocation_trace.h"
#include "memory/trace/repeated_step.h"

namespace stowage {
namespace {

class RecordedStepsTest : public testing::TestWithParam<std::string> {};

// Nothing is written, so no page is really taken: counted is what the pool would let be taken.
TEST_P(RecordedStepsTest, HoldLittleMoreThanIsLiveAndNoNewPagesOnceSettled) {
  const absl::StatusOr<AllocationTrace> trace =
      ReadAllocationTrace("memory/trace/testdata/" + GetParam() + ".trace.gz");
  ASSERT_TRUE(trace.ok()) << trace.status();
  const absl::StatusOr<RepeatedStep> step = RepeatLastStep(*trace);
  ASSERT_TRUE(step.ok()) << step.status();
  const auto pool = *Pool::Create(PoolOptions());
  std::vector<SlotBlock> blocks(step->slots);
  const auto allocate = [&](int64_t bytes) { return pool->Allocate(static_cast<size_t>(bytes)); };
  const auto free = [&](void* block, int64_t bytes) { pool->Free(block, static_cast<size_t>(bytes)); };
  const auto play_step = [&] {
    Play(step->step, blocks, allocate, free);
    Carry(*step, blocks);
  };
  Play(step->before, blocks, allocate, free);
  for (int i = 0; i < 20; ++i) play_step();
  const PoolStatistics settled = pool->Statistics();
  for (int i = 0; i < 100; ++i) play_step();
  const PoolStatistics after = pool->Statistics();
  EXPECT_EQ(after.allocations - after.hits, settled.allocations - settled.hits);
  EXPECT_EQ(after.discarded, settled.discarded);
  EXPECT_LE(static_cast<double>(after.peak_resident), 1.05 * static_cast<double>(step->peak_live_bytes));
  for (const SlotBlock& slot : blocks) {
    if (slot.block != nullptr) free(slot.block, slot.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RecordedStepsTest, testing::Values("quickstart", "gpt2_124m", "cnn"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace stowage
