#include "memory/budget/machine_memory.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// A machine of 24 GiB whose files the test plants.
class MachineMemoryTest : public testing::Test {
 protected:
  MachineMemoryTest() {
    root_ = testing::TempDir() + "/machine_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    Write("/proc/meminfo", "MemTotal:       25165824 kB\nMemFree:  1 kB\nMemAvailable:   20971520 kB\n");
    Limits("unlimited", "unlimited");
  }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }

  void Limits(const std::string& address_space, const std::string& data) {
    Write("/proc/self/limits",
          "Limit                     Soft Limit           Hard Limit           Units     \n"
          "Max data size             " +
              data +
              "            unlimited            bytes     \n"
              "Max stack size            8388608              unlimited            bytes     \n"
              "Max address space         " +
              address_space + "            unlimited            bytes     \n");
  }

  void Version2(const std::string& group, const std::string& mounted = "/") {
    Write("/proc/self/cgroup", "0::" + group + "\n");
    Write("/proc/self/mountinfo",
          "31 23 0:28 / /sys rw - sysfs sysfs rw\n"
          "32 31 0:29 " +
              mounted + " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw\n");
  }

  void Version1(const std::string& group, const std::string& mounted = "/") {
    Write("/proc/self/cgroup", "9:name=systemd:/\n4:hugetlb,memory:" + group + "\n3:cpu:/x\n0::/\n");
    Write("/proc/self/mountinfo", "35 31 0:32 " + mounted +
                                      " /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,hugetlb,memory\n"
                                      "36 31 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n");
  }

  MachineMemory Read() {
    MachineSource source{root_, [this](const char* name) -> const char* {
                           const auto found = variables_.find(name);
                           return found == variables_.end() ? nullptr : found->second.c_str();
                         }};
    auto memory = ReadMachineMemory(source);
    EXPECT_TRUE(memory.ok()) << memory.status();
    return memory.ok() ? *memory : MachineMemory{1, 1, {{1, "nothing"}}, {}};
  }

  RankShare Share(int ranks = 1) { return ShareOf(Read(), ranks); }

  std::string root_;
  std::map<std::string, std::string> variables_;
};

TEST_F(MachineMemoryTest, WithoutLimitsTheMachinesMemoryIsSharedByItsRanks) {
  EXPECT_EQ(Read().total, 24 * kGiB);
  EXPECT_EQ(Read().available, 20 * kGiB);
  EXPECT_EQ(Share().bytes, 24 * kGiB);
  EXPECT_FALSE(Share().enforced);
  EXPECT_EQ(Share(4).bytes, 6 * kGiB);
  EXPECT_EQ(Share(4).source, "1/4 of 24 GiB, the machine's memory (MemTotal)");
}

TEST_F(MachineMemoryTest, Version2TakesTheTightestUpToTheRoot) {
  Version2("/a/b");
  Write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_FALSE(Share().enforced);
  Write("/sys/fs/cgroup/a/memory.max", "4294967296\n");
  EXPECT_EQ(Share().bytes, 4 * kGiB);
  EXPECT_EQ(Share().source, "4 GiB, the cgroup limit /sys/fs/cgroup/a/memory.max");
  EXPECT_TRUE(Share().enforced);
  Write("/sys/fs/cgroup/a/b/memory.high", "1073741824\n");
  EXPECT_EQ(Share(2).bytes, 512 * kMiB);
  EXPECT_EQ(Share(2).source, "half of 1 GiB, the cgroup limit /sys/fs/cgroup/a/b/memory.high");
}

TEST_F(MachineMemoryTest, Version1OfACombinedController) {
  Version1("/job/7");
  Write("/sys/fs/cgroup/memory/job/7/memory.limit_in_bytes", "9223372036854771712\n");  // none
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(Share().enforced);
  Write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2147483648\n");
  EXPECT_EQ(Share().bytes, 2 * kGiB);
  EXPECT_THAT(Share().source, HasSubstr("/sys/fs/cgroup/memory/job/memory.limit_in_bytes"));
}

TEST_F(MachineMemoryTest, AContainersOwnGroupStandsAtTheRootOfItsMount) {
  Version1("/docker/abc/inner", "/docker/abc");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  Write("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(Share().bytes, 512 * kMiB);
  // A group that is not below what is mounted: only the mount's own can be read.
  Version2("/", "/elsewhere");
  Write("/sys/fs/cgroup/memory.max", "805306368\n");
  EXPECT_EQ(Share().bytes, 768 * kMiB);
  Version2("/../other", "/elsewhere");
  EXPECT_EQ(Share().bytes, 768 * kMiB);
}

TEST_F(MachineMemoryTest, AGroupWhoseNameBeginsLikeTheMountsIsAnother) {
  Version2("/a/bc", "/a/b");
  Write("/sys/fs/cgroup/c/memory.max", "1073741824\n");
  EXPECT_FALSE(Share().enforced);
}

TEST_F(MachineMemoryTest, LimitsOfAProcessAreNotDivided) {
  Limits("8589934592", "unlimited");
  EXPECT_EQ(Share(2).bytes, 8 * kGiB);
  EXPECT_EQ(Share(2).source, "8 GiB, the ulimit -v (RLIMIT_AS)");
  // A fourth of the machine is less.
  EXPECT_EQ(Share(4).bytes, 6 * kGiB);
  EXPECT_FALSE(Share(4).enforced);
  Limits("8589934592", "1073741824");
  EXPECT_EQ(Share(4).source, "1 GiB, the ulimit -d (RLIMIT_DATA)");
}

TEST_F(MachineMemoryTest, SlurmsAllotment) {
  variables_["SLURM_MEM_PER_NODE"] = "4096";
  EXPECT_EQ(Share(2).bytes, 2 * kGiB);
  EXPECT_EQ(Share(2).source, "half of 4 GiB, the SLURM_MEM_PER_NODE");
  variables_ = {{"SLURM_MEM_PER_CPU", "1500"}};
  EXPECT_FALSE(Share().enforced);  // per core, of how many is not said
  variables_["SLURM_CPUS_ON_NODE"] = "4";
  EXPECT_EQ(Share().bytes, 6000 * kMiB);
  variables_ = {{"SLURM_MEM_PER_NODE", "0"}};  // --mem=0: all
  EXPECT_FALSE(Share().enforced);
}

TEST_F(MachineMemoryTest, LsfsAndPbsAllotments) {
  variables_["LSB_CG_MEMLIMIT"] = "0x100000000";
  EXPECT_EQ(Share().bytes, 4 * kGiB);
  variables_["PBS_RESC_MEM"] = "2147483648";
  EXPECT_EQ(Share().bytes, 2 * kGiB);
}

TEST_F(MachineMemoryTest, AnAllotmentThatIsNoSizeIsNamedAndNotHeeded) {
  variables_["SLURM_MEM_PER_NODE"] = "plenty";
  variables_["PBS_RESC_MEM"] = "-5";
  EXPECT_FALSE(Share().enforced);
  EXPECT_THAT(Read().warnings, ElementsAre(HasSubstr("SLURM_MEM_PER_NODE is \"plenty\""), HasSubstr("PBS_RESC_MEM")));
  variables_ = {{"SLURM_MEM_PER_NODE", "9223372036854775807"}};
  EXPECT_THAT(Read().warnings, ElementsAre(HasSubstr("no size")));
}

TEST_F(MachineMemoryTest, WithoutProcThereIsNoAnswer) {
  std::filesystem::remove_all(root_ + "/proc");
  const auto memory = ReadMachineMemory({root_});
  EXPECT_EQ(memory.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(memory.status().message()), HasSubstr("/proc/meminfo"));
}

TEST(ThisMachineTest, HasMemory) {
  const auto memory = ReadMachineMemory();
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_GT(ShareOf(*memory, 1).bytes, 0);
  EXPECT_LE(ShareOf(*memory, 1).bytes, memory->total);
}

}  // namespace
}  // namespace stowage
