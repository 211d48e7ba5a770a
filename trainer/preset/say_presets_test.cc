#include "trainer/preset/say_presets.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

MachineMemory Machine(int64_t total, int64_t container) {
  MachineMemory machine;
  machine.total = total;
  if (container > 0) {
    MemoryBound bound;
    bound.bytes = container;
    bound.source = "the cgroup limit";
    machine.bounds.push_back(bound);
  }
  MemoryBound whole;
  whole.bytes = total;
  whole.source = "the machine's memory";
  machine.bounds.push_back(whole);
  return machine;
}

std::string Said(const std::vector<std::string>& presets, const MachineMemory& machine, int ranks) {
  Config config;
  config.preset = presets;
  return absl::StrJoin(SayPresets(config, machine, ranks), "\n");
}

TEST(SayPresetsTest, AContainersLimitIsObeyed) {
  constexpr int64_t kGB = 1'000'000'000;
  EXPECT_TRUE(absl::StrContains(Said({"by_memory"}, Machine(64 * kGB, 0), 1), "would recompute 2 spans"));
  EXPECT_TRUE(absl::StrContains(Said({"by_memory"}, Machine(64 * kGB, 24 * kGB), 1), "would recompute 8 spans"));
  EXPECT_TRUE(absl::StrContains(Said({"by_memory"}, Machine(64 * kGB, 24 * kGB), 4), "512 MiB"));
}

TEST(SayPresetsTest, WithoutPresetsNothingIsSaid) { EXPECT_EQ(Said({}, Machine(1, 0), 1), ""); }

}  // namespace
}  // namespace stowage
