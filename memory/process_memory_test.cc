#include "memory/process_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = 1 << 20;
// What the rest of the process may do meanwhile, and the kernel's batched counting.
constexpr int64_t kSlack = 4 * kMiB;

// Touched anonymous pages, given back to the system at once when freed (malloc would promise neither).
class Pages {
 public:
  explicit Pages(int64_t bytes)
      : bytes_(bytes), data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (data_ != MAP_FAILED) std::memset(data_, 1, bytes);
  }
  ~Pages() { munmap(data_, bytes_); }

 private:
  const int64_t bytes_;
  void* const data_;
};

TEST(ProcessMemoryTest, TouchedPagesShowAsAnonymousAndInThePeak) {
  const auto before = ReadProcessMemory();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_GT(before->rss, 0);
  EXPECT_GE(before->peak_rss, before->rss_anon);
  EXPECT_GT(before->rss_file, 0);
  {
    const Pages pages(64 * kMiB);
    const auto during = ReadProcessMemory();
    ASSERT_TRUE(during.ok()) << during.status();
    EXPECT_NEAR(during->rss_anon - before->rss_anon, 64 * kMiB, kSlack);
    EXPECT_NEAR(during->rss - before->rss, 64 * kMiB, kSlack);
    EXPECT_GE(during->peak_rss, during->rss - kSlack);
  }
  const auto after = ReadProcessMemory();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_NEAR(after->rss_anon, before->rss_anon, kSlack);
  EXPECT_GE(after->peak_rss, after->rss + 60 * kMiB);
}

TEST(ProcessMemoryTest, ResetPeakRssForgetsWhatWasGivenBack) {
  { const Pages pages(64 * kMiB); }
  const absl::Status reset = ResetPeakRss();
  if (reset.code() == absl::StatusCode::kUnavailable) GTEST_SKIP() << reset.message();
  ASSERT_TRUE(reset.ok()) << reset;
  const auto after = ReadProcessMemory();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_NEAR(after->peak_rss, after->rss, kSlack);
}

}  // namespace
}  // namespace stowage
