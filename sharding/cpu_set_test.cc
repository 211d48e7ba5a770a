#include "sharding/cpu_set.h"

#include <thread>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(CpuSetTest, FormatsRuns) {
  EXPECT_EQ(FormatCpuSet({}), "");
  EXPECT_EQ(FormatCpuSet({3}), "3");
  EXPECT_EQ(FormatCpuSet({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
}

// On a thread of its own: what it does to its affinity ends with it.
TEST(CpuSetTest, CpusetIsSeenThroughANarrowBindingWhichIsPutBack) {
  std::thread([] {
    const absl::StatusOr<CpuSet> before = AffinityOf(0);
    ASSERT_TRUE(before.ok()) << before.status();
    ASSERT_TRUE(SetAffinityOfAllThreads({before->back()}).ok());
    const absl::StatusOr<CpuSet> allowed = CpusetCores();
    ASSERT_TRUE(allowed.ok()) << allowed.status();
    EXPECT_GE(allowed->size(), before->size());
    EXPECT_EQ(*AffinityOf(0), CpuSet({before->back()}));
    ASSERT_TRUE(SetAffinityOfAllThreads(*before).ok());
    EXPECT_EQ(*AffinityOf(0), *before);
  }).join();
}

TEST(CpuSetTest, CoresThatAreNotThereAreRefusedByNumber) {
  const absl::Status status = SetAffinityOfAllThreads({8191});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("8191"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace stowage
