#include "trainer/doctor/doctor.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "sharding/solo_communicator.h"
#include "trainer/doctor/advice.h"
#include "trainer/doctor/read_facts.h"
#include "trainer/doctor/render.h"

namespace stowage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// A machine in order.
Facts Good() {
  Facts facts;
  facts.host = "node7";
  facts.memory = MachineMemory{24 * kGiB, 22 * kGiB, {{24 * kGiB, "machine's memory (MemTotal)", false, false}}, {}};
  facts.cores = {4, {0, 1, 2, 3}, {0, 1, 2, 3}, 0.0, "a CPU", "threads 4"};
  facts.numa = {{0, 24 * kGiB, 20 * kGiB, "0-3"}};
  facts.thp = "madvise";
  facts.disks = {{"run folders", "runs", 100 * kGiB, 50 * kGiB, false, true},
                 {"/dev/shm", "/dev/shm", 12 * kGiB, 12 * kGiB, true, true}};
  facts.limits = {{"address space (ulimit -v)", "RLIMIT_AS", std::nullopt, true},
                  {"locked memory (ulimit -l)", "RLIMIT_MEMLOCK", 8 * kMiB, true},
                  {"open files (ulimit -n)", "RLIMIT_NOFILE", 20000, false}};
  return facts;
}

std::vector<std::string> AdviceAfter(const std::function<void(Facts&)>& change) {
  Facts facts = Good();
  change(facts);
  return AdviceFor(facts);
}

TEST(AdviceTest, AMachineInOrderGetsNone) {
  EXPECT_THAT(AdviceFor(Good()), IsEmpty());
  EXPECT_THAT(FactsText(Good(), {}), HasSubstr("Nothing to change."));
}

TEST(AdviceTest, EachThingThatIsWrongGetsOneLineWithWhatToDo) {
  const struct {
    std::function<void(Facts&)> change;
    const char* found;
    const char* todo;
  } cases[] = {
      {[](Facts& f) {
         f.memory->bounds.insert(f.memory->bounds.begin(), {256 * kMiB, "cgroup limit /x"});
       },
       "only 256 MiB (256 MiB, the cgroup limit /x)", "raise that limit"},
      {[](Facts& f) { f.memory->available = 3 * kGiB; }, "only 3 GiB of memory are available", "end them"},
      {[](Facts& f) { f.memory->warnings = {"SLURM_MEM_PER_NODE is \"x\""}; }, "SLURM_MEM_PER_NODE", "x"},
      {[](Facts& f) { f.memory.reset(), f.memory_error = "no /proc; mount it"; }, "no /proc", "mount it"},
      {[](Facts& f) { f.local_size = 6; }, "6 ranks share 4 cores", "one rank per core"},
      {[](Facts& f) { f.cores.quota = 1.5; }, "time of 1.5 cores, but 4", "cpu.max"},
      {[](Facts& f) {
         f.numa.push_back({1, 24 * kGiB, 20 * kGiB, "4-7"});
       },
       "2 NUMA nodes and 1 rank", "--map-by numa"},
      {[](Facts& f) { f.thp = "never"; }, "transparent huge pages are off", "echo madvise"},
      {[](Facts& f) {
         f.huge_pages = {{2 * kMiB, 1024, 1024}};
       },
       "2 GiB are reserved", "vm.nr_hugepages"},
      {[](Facts& f) { f.disks[0].free_bytes = 10 * kMiB; }, "runs, has 10 MiB free", "make room"},
      {[](Facts& f) { f.disks[0].in_memory = true; }, "tmpfs", "on a disk"},
      {[](Facts& f) { f.disks[0].writable = false; }, "may not be written to", "runs"},
      {[](Facts& f) { f.disks[0].total_bytes = 0; }, "cannot be looked at", "make it"},
      {[](Facts& f) { f.disks[1].free_bytes = 64 * kMiB; }, "/dev/shm has 64 MiB free", "--shm-size"},
      {[](Facts& f) { f.limits[0].value = 8 * kGiB; }, "limited to 8 GiB (ulimit -v)", "memory.host"},
      {[](Facts& f) { f.infiniband = true; }, "limited to 8 MiB (ulimit -l)", "unlimited"},
      {[](Facts& f) { f.limits[2].value = 256; }, "only 256 files", "4096"},
      {[](Facts& f) { f.grace_warning = "give mpirun more time"; }, "give mpirun more time", ""},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(AdviceAfter(c.change), ElementsAre(AllOf(HasSubstr(c.found), HasSubstr(c.todo))));
  }
}

// Reading, from files that the test plants.
class ReadFactsTest : public testing::Test {
 protected:
  ReadFactsTest() {
    source_.root = testing::TempDir() + "/facts_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(source_.root);
    source_.variable = [this](const char* name) -> const char* {
      const auto found = variables_.find(name);
      return found == variables_.end() ? nullptr : found->second.c_str();
    };
  }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = source_.root + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }

  MachineSource source_;
  std::map<std::string, std::string> variables_;
  Facts facts_;
};

TEST_F(ReadFactsTest, NumaNodesInTheOrderOfTheirNumbers) {
  for (const char* node : {"10", "2"}) {
    const std::string folder = std::string("/sys/devices/system/node/node") + node;
    Write(folder + "/cpulist", "0-7\n");
    Write(folder + "/meminfo",
          std::string("Node ") + node + " MemTotal:   1048576 kB\nNode " + node + " MemFree:    524288 kB\n");
  }
  Write("/sys/devices/system/node/possible", "0-10\n");
  ReadNumaNodes(source_, &facts_);
  ASSERT_EQ(facts_.numa.size(), 2u);
  EXPECT_EQ(facts_.numa[0].node, 2);
  EXPECT_EQ(facts_.numa[1].node, 10);
  EXPECT_EQ(facts_.numa[0].total_bytes, kGiB);
  EXPECT_EQ(facts_.numa[0].free_bytes, kGiB / 2);
  EXPECT_EQ(facts_.numa[0].cores, "0-7");
}

TEST_F(ReadFactsTest, HugePages) {
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  Write("/sys/kernel/mm/transparent_hugepage/defrag", "always defer [madvise] never\n");
  Write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "7\n");
  Write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n");
  ReadHugePages(source_, &facts_);
  EXPECT_EQ(facts_.thp, "never");
  EXPECT_EQ(facts_.thp_defrag, "madvise");
  ASSERT_EQ(facts_.huge_pages.size(), 1u);
  EXPECT_EQ(facts_.huge_pages[0].page_bytes, 2 * kMiB);
  EXPECT_EQ(facts_.huge_pages[0].total, 7);
  EXPECT_EQ(facts_.huge_pages[0].free, 5);
}

TEST_F(ReadFactsTest, GpusAndHowTheyWereLookedFor) {
  ReadGpus(source_, &facts_);
  EXPECT_THAT(facts_.gpus, IsEmpty());
  EXPECT_EQ(facts_.gpu_search, "/proc/driver/nvidia: no driver, 0 GPUs; /dev/nvidia[0-9]: 0 devices");
  Write("/proc/driver/nvidia/version", "NVRM\n");
  Write("/proc/driver/nvidia/gpus/0000:19:00.0/information", "Model: \t\t NVIDIA H200\nIRQ: 1\n");
  Write("/dev/nvidia0", "");
  Write("/dev/nvidiactl", "");
  Write("/sys/class/infiniband/mlx5_0", "");
  ReadGpus(source_, &facts_);
  EXPECT_THAT(facts_.gpus, ElementsAre("NVIDIA H200 (0000:19:00.0)"));
  EXPECT_EQ(facts_.gpu_search, "/proc/driver/nvidia: the driver is loaded, 1 GPUs; /dev/nvidia[0-9]: 1 devices");
  EXPECT_TRUE(facts_.infiniband);
}

TEST_F(ReadFactsTest, LimitsAndLauncher) {
  Write("/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max locked memory         8388608              8388608              bytes     \n"
        "Max address space         unlimited            unlimited            bytes     \n");
  ReadLimits(source_, &facts_);
  ASSERT_EQ(facts_.limits.size(), 2u);
  EXPECT_EQ(facts_.limits[0].variable, "RLIMIT_MEMLOCK");
  EXPECT_EQ(facts_.limits[0].value, 8 * kMiB);
  EXPECT_FALSE(facts_.limits[1].value.has_value());
  variables_ = {{"OMPI_COMM_WORLD_SIZE", "2"}, {"HOME", "/x"}};
  ReadLauncher(source_, &facts_);
  EXPECT_THAT(facts_.launcher, ElementsAre("OMPI_COMM_WORLD_SIZE=2"));
}

TEST_F(ReadFactsTest, AFolderThatIsNotThereYetIsMeasuredWhereItWillBe) {
  ReadDisks({{"run folders", testing::TempDir() + "/not/yet/there"}}, &facts_);
  ASSERT_EQ(facts_.disks.size(), 1u);
  EXPECT_GT(facts_.disks[0].total_bytes, 0);
  EXPECT_TRUE(facts_.disks[0].writable);
}

TEST(DoctorTest, OnePartForEachHostWithItsRanks) {
  SoloCommunicator solo;
  DoctorOptions options;
  options.json = true;
  options.started_on = StartedOn();
  const auto report = DoctorReport(solo, {1, "threads 1"}, options);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto json = nlohmann::json::parse(*report);
  ASSERT_EQ(json["hosts"].size(), 1u);
  EXPECT_GT(json["hosts"][0]["memory"]["total_bytes"], 0);
  EXPECT_LE(json["hosts"][0]["memory"]["rank_bytes"], json["hosts"][0]["memory"]["total_bytes"]);
  EXPECT_EQ(json["hosts"][0]["disks"].size(), 4u);
  options.json = false;
  const auto text = DoctorReport(solo, {1, "threads 1"}, options);
  for (const char* part : {"this rank may use", "bounds on memory", "cores", "NUMA nodes", "huge pages", "disks",
                           "limits", "GPUs", "MPI", "NCCL", "LibTorch"}) {
    EXPECT_THAT(*text, HasSubstr(part));
  }
}

}  // namespace
}  // namespace stowage
