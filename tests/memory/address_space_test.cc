// A process that may not have all the addresses that it would like (ulimit -v).
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "trainer/executor/exceptions.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

constexpr size_t kGiB = size_t{1} << 30;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizer = true;  // it has taken terabytes of addresses itself
#else
constexpr bool kSanitizer = false;
#endif

size_t AddressesTaken() {
  long pages = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
  std::fclose(file);
  return static_cast<size_t>(pages) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// What `body` returns in a child that may take `more` bytes of addresses than it has: limits cannot be raised again,
// and the allocator is installed once.
template <typename F>
int InChildWith(size_t more, const F& body) {
  const pid_t child = fork();
  if (child == 0) {
    const size_t most = AddressesTaken() + more;
    const rlimit limit{most, most};
    setrlimit(RLIMIT_AS, &limit);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(AddressSpaceTest, TooLittleForThePoolIsAnErrorThatSaysWhatToRaise) {
  if (kSanitizer) GTEST_SKIP() << "no limit on addresses under this sanitizer";
  EXPECT_EQ(InChildWith(kGiB / 2,
                        [] {
                          const absl::Status status = SetUpProcess(1);
                          if (status.code() != absl::StatusCode::kResourceExhausted) return 1;
                          if (!absl::StrContains(status.message(), "ulimit -v")) return 2;
                          return SetUpProcess(1) == status ? 0 : 3;
                        }),
            0);
}

TEST(AddressSpaceTest, LessThanWishedForServesUntilItIsUsedUp) {
  if (kSanitizer) GTEST_SKIP() << "no limit on addresses under this sanitizer";
  EXPECT_EQ(InChildWith(3 * kGiB,
                        [] {
                          if (!SetUpProcess(1).ok()) return 1;
                          at::Tensor kept;
                          const auto take = [&](int64_t bytes) {
                            return CatchExceptions([&] { kept = at::empty({bytes}, at::kByte); });
                          };
                          if (!take(int64_t{1} << 29).ok()) return 2;
                          const int64_t live = ProcessLedger().total_live();
                          if (take(int64_t{1} << 33).code() != absl::StatusCode::kResourceExhausted) return 3;
                          if (ProcessLedger().total_live() != live) return 4;
                          return take(int64_t{1} << 28).ok() ? 0 : 5;
                        }),
            0);
}

TEST(AddressSpaceTest, WithoutHugePagesTensorsWorkAsWell) {
  EXPECT_EQ(InChildWith(kSanitizer ? RLIM_INFINITY / 4 : 64 * kGiB,
                        [] {
                          if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) return 1;
                          if (!SetUpProcess(1).ok()) return 2;
                          const at::Tensor tensor = at::empty({64 << 20}, at::kByte);
                          std::memset(tensor.data_ptr(), 7, 64 << 20);
                          return static_cast<const char*>(tensor.const_data_ptr())[(64 << 20) - 1] == 7 ? 0 : 3;
                        }),
            0);
}

TEST(AddressSpaceTest, SizesThatCannotBeAreErrorsThatTakeNothing) {
  EXPECT_EQ(InChildWith(kSanitizer ? RLIM_INFINITY / 4 : 64 * kGiB,
                        [] {
                          if (!SetUpProcess(1).ok()) return 1;
                          const int64_t live = ProcessLedger().total_live();
                          for (int64_t numel : {int64_t{-1}, int64_t{1} << 62, int64_t{1} << 50}) {
                            if (CatchExceptions([&] { at::empty({numel}, at::kFloat); }).ok()) return 2;
                            if (CatchExceptions([&] { at::empty({numel, 3}, at::kDouble); }).ok()) return 3;
                          }
                          if (!CatchExceptions([&] { at::empty({int64_t{1} << 62, 0}, at::kFloat); }).ok()) return 4;
                          return ProcessLedger().total_live() == live ? 0 : 5;
                        }),
            0);
}

}  // namespace
}  // namespace stowage
