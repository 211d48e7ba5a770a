#include "memory/pool/address_range.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizer = true;  // it reserves terabytes of addresses itself
#else
constexpr bool kSanitizer = false;
#endif

int64_t ResidentBytes() {
  long pages = 0, resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = -1;
  std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(AddressRangeTest, ReservingCostsNoMemoryAndDiscardingGivesItBack) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer's shadow of these bytes is resident too";
#endif
  auto range = AddressRange::Reserve(size_t{1} << 36, kMiB);
  ASSERT_TRUE(range.ok()) << range.status();
  EXPECT_EQ((*range)->bytes(), size_t{1} << 36);
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*range)->base()) % (2 * kMiB), 0u);
  const int64_t before = ResidentBytes();
  ASSERT_EQ((*range)->MakeUsable(0, 64 * kMiB - 5), 64 * kMiB);
  EXPECT_LT(ResidentBytes() - before, static_cast<int64_t>(kMiB));
  std::memset((*range)->base(), 1, 64 * kMiB);
  EXPECT_GE(ResidentBytes() - before, static_cast<int64_t>(64 * kMiB));
  (*range)->Discard(0, 64 * kMiB);
  EXPECT_LT(ResidentBytes() - before, static_cast<int64_t>(kMiB));
  EXPECT_EQ((*range)->base()[5], 0);
}

TEST(AddressRangeTest, MoreThanReservedIsRefused) {
  auto range = AddressRange::Reserve(4 * kMiB, kMiB);
  ASSERT_TRUE(range.ok());
  EXPECT_EQ((*range)->MakeUsable(0, 4 * kMiB), 4 * kMiB);
  EXPECT_EQ((*range)->MakeUsable(2 * kMiB, 4 * kMiB + 1), 0u);
}

// In a child: a limit on addresses cannot be raised again.
template <typename F>
int InChildWithAddressLimit(size_t bytes, const F& body) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(AddressRangeTest, TakesLessWhereTheProcessMayNotHaveAll) {
  if (kSanitizer) GTEST_SKIP() << "no limit on addresses under this sanitizer";
  EXPECT_EQ(InChildWithAddressLimit(
                size_t{8} << 30,
                [] {
                  auto range = AddressRange::Reserve(size_t{1} << 40, kMiB);
                  if (!range.ok()) return 1;
                  return (*range)->bytes() <= size_t{8} << 30 && (*range)->bytes() >= size_t{1} << 30 ? 0 : 2;
                }),
            0);
}

TEST(AddressRangeTest, NoAddressesIsAnErrorThatSaysHowManyWereAskedFor) {
  if (kSanitizer) GTEST_SKIP() << "no limit on addresses under this sanitizer";
  EXPECT_EQ(InChildWithAddressLimit(
                size_t{1} << 30,
                [] {
                  auto range = AddressRange::Reserve(size_t{1} << 40, size_t{16} << 30);
                  if (range.ok()) return 1;
                  return range.status().message().find("17179869184 bytes") != absl::string_view::npos ? 0 : 2;
                }),
            0);
}

}  // namespace
}  // namespace stowage
