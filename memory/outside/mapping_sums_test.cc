#include "memory/outside/mapping_sums.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kKiB = 1024;

Mapping Of(uint64_t begin, uint64_t end, const char* rights, const char* name, int64_t rss_kib) {
  Mapping mapping;
  mapping.begin = begin;
  mapping.end = end;
  mapping.writable = rights[1] == 'w';
  mapping.executable = rights[2] == 'x';
  mapping.shared = rights[3] == 's';
  mapping.name = name;
  mapping.rss_bytes = rss_kib * kKiB;
  return mapping;
}

MappingProbes Probes() {
  return {[](const Mapping& m) { return m.begin == 0x700000; },
          [](uint64_t begin, uint64_t end) -> absl::StatusOr<int64_t> { return static_cast<int64_t>(end - begin); }};
}

TEST(AddUpTest, EveryMappingGoesToOneLineAndTheSumIsAllOfThem) {
  const std::vector<Mapping> mappings = {Of(0x100000, 0x110000, "r-xp", "/usr/lib/libx.so", 64),
                                         Of(0x110000, 0x114000, "rw-p", "/usr/lib/libx.so", 16),
                                         Of(0x114000, 0x118000, "rw-p", "", 8),  // its .bss
                                         Of(0x200000, 0x210000, "rw-p", "[heap]", 40),
                                         Of(0x300000, 0x310000, "rwxp", "", 20),
                                         Of(0x400000, 0x410000, "rw-s", "/dev/shm/vader_segment.host.0.1", 12),
                                         Of(0x420000, 0x430000, "rw-s", "/SYSV00000000 (deleted)", 4),
                                         Of(0x500000, 0x510000, "rw-s", "/memfd:a (deleted)", 32),
                                         Of(0x520000, 0x530000, "rw-s", "/memfd:b (deleted)", 28),
                                         Of(0x600000, 0x610000, "rw-p", "", 24),  // a stack
                                         Of(0x700000, 0x710000, "rw-p", "", 48),  // an arena
                                         Of(0x800000, 0x900000, "rw-p", "", 512),
                                         Of(0xa00000, 0xa10000, "r--p", "/data/tokens.bin", 60),
                                         Of(0xb00000, 0xb10000, "rw-p", "", 56),
                                         Of(0xc00000, 0xc10000, "rw-p", "[stack]", 36),
                                         Of(0xd00000, 0xd01000, "r-xp", "[vdso]", 4)};
  const std::vector<Claim> claims = {{0x100000, 0x118000, MappingOwner::kLine, OutsideLine::kLibraries},
                                     {0x500000, 0x510000, MappingOwner::kLine, OutsideLine::kOwnWindows},
                                     {0x520000, 0x530000, MappingOwner::kLine, OutsideLine::kPeerWindows},
                                     {0x600000, 0x610000, MappingOwner::kLine, OutsideLine::kThreadStacks},
                                     {0x800000, 0xa00000, MappingOwner::kTensors}};
  const auto sums = AddUp(mappings, claims, Probes());
  ASSERT_TRUE(sums.ok()) << sums.status();
  const auto kib = [&](OutsideLine l) { return sums->lines[static_cast<int>(l)] / kKiB; };
  EXPECT_EQ(kib(OutsideLine::kLibraries), 64 + 16 + 8 + 4);
  EXPECT_EQ(kib(OutsideLine::kHeap), 40 + 48);
  EXPECT_EQ(kib(OutsideLine::kJitCode), 20);
  EXPECT_EQ(kib(OutsideLine::kSharedMemory), 12 + 4);
  EXPECT_EQ(kib(OutsideLine::kOwnWindows), 32);
  EXPECT_EQ(kib(OutsideLine::kPeerWindows), 28);
  EXPECT_EQ(kib(OutsideLine::kThreadStacks), 24 + 36);
  EXPECT_EQ(kib(OutsideLine::kFiles), 60);
  EXPECT_EQ(sums->tensors_bytes / kKiB, 512);
  EXPECT_EQ(sums->nobody_bytes / kKiB, 56);
  int64_t sum = sums->tensors_bytes + sums->nobody_bytes, all = 0;
  for (int64_t bytes : sums->lines) sum += bytes;
  for (const Mapping& mapping : mappings) all += mapping.rss_bytes;
  EXPECT_EQ(sum, all);
  EXPECT_EQ(sums->total_bytes, all);
}

TEST(AddUpTest, AMappingThatTheKernelJoinedIsDividedByItsClaims) {
  // A stack, and right behind it something that nobody knows; before it the end of a .bss.
  const std::vector<Mapping> mappings = {Of(0x100000, 0x140000, "rw-p", "", 200)};
  const std::vector<Claim> claims = {{0xf0000, 0x104000, MappingOwner::kLine, OutsideLine::kLibraries},
                                     {0x110000, 0x120000, MappingOwner::kLine, OutsideLine::kThreadStacks}};
  const auto sums = AddUp(mappings, claims, Probes());
  ASSERT_TRUE(sums.ok()) << sums.status();
  EXPECT_EQ(sums->lines[static_cast<int>(OutsideLine::kLibraries)], 16 * kKiB);
  EXPECT_EQ(sums->lines[static_cast<int>(OutsideLine::kThreadStacks)], 64 * kKiB);
  EXPECT_EQ(sums->nobody_bytes, (200 - 16 - 64) * kKiB);
  EXPECT_EQ(sums->total_bytes, 200 * kKiB);
}

TEST(AddUpTest, WhereTheKernelDoesNotSayWhichPagesTheErrorIsPassedOn) {
  const std::vector<Mapping> mappings = {Of(0x100000, 0x140000, "rw-p", "", 200)};
  const std::vector<Claim> claims = {{0x110000, 0x120000, MappingOwner::kTensors}};
  MappingProbes probes = Probes();
  probes.resident = [](uint64_t, uint64_t) -> absl::StatusOr<int64_t> { return absl::UnavailableError("no pagemap"); };
  EXPECT_EQ(AddUp(mappings, claims, probes).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace stowage
