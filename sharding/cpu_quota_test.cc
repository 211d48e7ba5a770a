#include "sharding/cpu_quota.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace stowage {
namespace {

class CpuQuotaTest : public testing::Test {
 protected:
  CpuQuotaTest() {
    mount_ = testing::TempDir() + "/cgroup_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(mount_);
  }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = mount_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text << "\n";
  }

  std::string mount_;
};

TEST_F(CpuQuotaTest, NoFilesAndNoLimitAreZero) {
  EXPECT_EQ(CgroupQuotaCores("0::/\n", mount_), 0.0);
  Write("/cpu.max", "max 100000");
  EXPECT_EQ(CgroupQuotaCores("0::/\n", mount_), 0.0);
  Write("/cpu/cpu.cfs_quota_us", "-1");
  Write("/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(CgroupQuotaCores("1:cpu:/\n", mount_), 0.0);
}

TEST_F(CpuQuotaTest, Version2TakesTheTightestUpToTheRoot) {
  Write("/a/b/cpu.max", "400000 100000");
  Write("/a/cpu.max", "150000 100000");
  EXPECT_EQ(CgroupQuotaCores("0::/a/b\n", mount_), 1.5);
}

TEST_F(CpuQuotaTest, Version1OfACombinedController) {
  Write("/cpu,cpuacct/job/cpu.cfs_quota_us", "50000");
  Write("/cpu,cpuacct/job/cpu.cfs_period_us", "25000");
  EXPECT_EQ(CgroupQuotaCores("9:name=systemd:/x\n4:cpu,cpuacct:/job\n0::/\n", mount_), 2.0);
}

TEST_F(CpuQuotaTest, AContainersLimitStandsAtTheRootOfItsMount) {
  Write("/cpu.max", "300000 100000");
  EXPECT_EQ(CgroupQuotaCores("0::/docker/not-mounted-here\n", mount_), 3.0);
}

}  // namespace
}  // namespace stowage
