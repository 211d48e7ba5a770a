// More than 2 GiB at once under mpirun: counts and offsets that do not fit 32
// bits. Takes 5 GiB.
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(MpiLargeTest, MoreThanTwoGigabytesArriveWhole) {
  char path[PATH_MAX] = "";
  ASSERT_GT(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
  const std::string check =
      (std::filesystem::path(path).parent_path() / "mpi_check").string();
  const int status =
      system(absl::StrCat("timeout -k 5 1500 mpirun --oversubscribe ",
                          geteuid() == 0 ? "--allow-run-as-root " : "",
                          "-n 2 '", check, "' large")
                 .c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see what it printed above";
}

} // namespace
} // namespace stowage
