// Starts mpi_check under mpirun, at several numbers of ranks, and looks at what
// comes back. No mpirun is a failure.

#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sharding/cpu_set.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using absl::StrCat;
using absl::StrContains;

std::string ReadAll(const std::string &path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
}

// mpi_check lies beside this test's own program, run by Bazel or by hand.
std::string MpiCheck() {
  char path[PATH_MAX] = "";
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  return (std::filesystem::path(std::string(path, length > 0 ? length : 0))
              .parent_path() /
          "mpi_check")
      .string();
}

// Set in the environment of every rank, so that ranks of this very test can be
// found afterwards.
std::string Marker() { return StrCat("STOWAGE_MPI_TEST=", getpid()); }

// Whether a process that mpirun started for this test is still there (a zombie
// has no environment).
bool RanksAreLeft() {
  std::error_code ignored;
  for (const auto &entry :
       std::filesystem::directory_iterator("/proc", ignored)) {
    if (StrContains(ReadAll(entry.path().string() + "/cmdline"), "mpi_check") &&
        StrContains(ReadAll(entry.path().string() + "/environ"), Marker())) {
      return true;
    }
  }
  return false;
}

struct Outcome {
  int exit_code = -1; // 124: it ran longer than 60 s
  std::string out;
  std::string err;
};

Outcome RunMpi(int ranks, const std::string &options,
               const std::string &arguments) {
  const std::string files = StrCat(testing::TempDir(), "/mpi_test_", getpid());
  const std::string command =
      StrCat("env ", Marker(), " timeout -k 5 60 mpirun --oversubscribe ",
             geteuid() == 0 ? "--allow-run-as-root " : "", options, " -n ",
             ranks, " '", MpiCheck(), "' ", arguments, " >", files, ".out 2>",
             files, ".err </dev/null");
  const int status = system(command.c_str());
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = ReadAll(files + ".out");
  outcome.err = ReadAll(files + ".err");
  // Killed ranks may take a moment to go: wait for that, not for a time; a rank
  // that stays is a failure.
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (RanksAreLeft() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_FALSE(RanksAreLeft()) << "ranks outlive " << command;
  return outcome;
}

class MpiTest : public testing::TestWithParam<int> {
protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(system("command -v mpirun >/dev/null"), 0)
        << "mpirun is missing: install openmpi-bin";
    ASSERT_TRUE(std::filesystem::exists(MpiCheck()))
        << MpiCheck() << ": build //sharding:mpi_check";
  }
};

TEST_P(MpiTest, EveryCaseGivesTheSerialReferencesBitsAndNothingIsOnStderr) {
  const Outcome outcome = RunMpi(GetParam(), "", "cases");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(StrContains(outcome.out, "cases, 0 failed")) << outcome.out;
  EXPECT_TRUE(StrContains(outcome.out, "ok ReduceScatterInPlace_BF16_7\n"))
      << outcome.out;
  EXPECT_EQ(outcome.err, "");
}

// Shared memory under mpirun: MPI brings the ranks together, and ends them.
constexpr char kSharedMemory[] = "-x MPI_CHECK_BACKEND=shared_memory";

TEST_P(MpiTest, SharedMemoryUnderMpirunGivesTheSameBits) {
  const Outcome outcome = RunMpi(GetParam(), kSharedMemory, "cases");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(StrContains(outcome.out, "cases, 0 failed")) << outcome.out;
  EXPECT_EQ(outcome.err, "");
  const Outcome where = RunMpi(GetParam(), kSharedMemory, "where");
  EXPECT_TRUE(StrContains(where.out, ", shared memory: ")) << where.out;
}

class MpiPiecesTest : public MpiTest {};

TEST_P(MpiPiecesTest, SmallPiecesGiveTheSameBits) {
  const Outcome outcome = RunMpi(GetParam(), "", "cases 4096");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(StrContains(outcome.out, "cases, 0 failed")) << outcome.out;
}

class MpiFaultTest : public MpiTest {};

TEST_P(MpiFaultTest, AbortEndsAllRanksWithTheCause) {
  const Outcome outcome = RunMpi(GetParam(), "", "abort");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  EXPECT_TRUE(StrContains(outcome.err, StrCat("stowage: rank ", GetParam() - 1,
                                              ": shard 7 is torn\n")))
      << outcome.err;
  EXPECT_FALSE(StrContains(outcome.out, "came back")) << outcome.out;
}

// With these two times 100 s of mpirun's a test would run into its time-out:
// nobody waits for that long once all ranks have ended.
constexpr char kMuchTime[] = "--mca odls_base_sigkill_timeout 100";

TEST_P(MpiFaultTest, AKilledRankEndsTheOthersAtOnceAndIsNamedOnce) {
  const Outcome outcome = RunMpi(GetParam(), kMuchTime, "kill");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  const std::string died =
      StrCat("stowage: rank 0: rank ", GetParam() - 1, " (process ");
  EXPECT_TRUE(StrContains(outcome.err, died)) << outcome.err;
  EXPECT_EQ(outcome.err.find(" has died\n"), outcome.err.rfind(" has died\n"))
      << outcome.err;
}

TEST_P(MpiFaultTest, ARankThatEndsWithoutAWordEndsTheJobAndIsNamed) {
  const Outcome outcome = RunMpi(GetParam(), kMuchTime, "unfinished");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  EXPECT_TRUE(
      StrContains(outcome.err, StrCat("rank ", GetParam() - 1, " (process ")))
      << outcome.err;
}

TEST_P(MpiFaultTest, ARankKilledUnderSharedMemoryEndsTheOthersAndIsNamedOnce) {
  const Outcome outcome =
      RunMpi(GetParam(), StrCat(kMuchTime, " ", kSharedMemory), "kill");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  const std::string died =
      StrCat("stowage: rank 0: rank ", GetParam() - 1, " (process ");
  EXPECT_TRUE(StrContains(outcome.err, died)) << outcome.err;
  EXPECT_EQ(outcome.err.find(" has died\n"), outcome.err.rfind(" has died\n"))
      << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(Ranks, MpiTest, testing::Values(1, 2, 3, 4, 8),
                         testing::PrintToStringParamName());
// Fewer of these: each costs mpirun's start, and what they promise does not
// depend on the number.
INSTANTIATE_TEST_SUITE_P(Ranks, MpiPiecesTest, testing::Values(2, 3),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Ranks, MpiFaultTest, testing::Values(2, 4),
                         testing::PrintToStringParamName());

TEST(MpiLaunchTest, DifferentCallsEndInAnErrorThatNamesThem) {
  const Outcome outcome = RunMpi(2, "", "different");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  // Either rank: the first that ends makes mpirun end the other, which may then
  // say nothing.
  EXPECT_TRUE(StrContains(outcome.out, "ranks disagree on what to do"))
      << outcome.out;
  EXPECT_TRUE(StrContains(outcome.out, "all_gather")) << outcome.out;
  EXPECT_TRUE(StrContains(outcome.out, "all_reduce")) << outcome.out;
}

TEST(MpiLaunchTest, AMessageOfTwoSizesIsNamedByItsReceiver) {
  const Outcome outcome = RunMpi(2, "", "sizes");
  EXPECT_NE(outcome.exit_code, 124) << "hangs";
  EXPECT_TRUE(StrContains(outcome.out, "ranks disagree on a size: rank 1 calls "
                                       "receive of 80 bytes from rank 0, which "
                                       "sent 90"))
      << outcome.out;
}

TEST(MpiLaunchTest, RanksKnowTheirPlaces) {
  const Outcome outcome = RunMpi(3, "", "where");
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_TRUE(StrContains(outcome.out, StrCat("rank ", rank, " of 3, local ",
                                                rank, " of 3, mpi: ")))
        << outcome.out;
  }
}

// mpirun binds one rank to one core unless told otherwise, which would leave a
// machine idle.
TEST(MpiLaunchTest, OneRankAloneUsesAllCoresItMay) {
  const absl::StatusOr<CpuSet> cores = AffinityOf(0);
  ASSERT_TRUE(cores.ok()) << cores.status();
  const Outcome outcome = RunMpi(1, "", "where");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(
      StrContains(outcome.out, StrCat(", cores ", FormatCpuSet(*cores), "\n")))
      << outcome.out;
}

TEST(MpiLaunchTest, AnExplicitBindingIsKept) {
  const absl::StatusOr<CpuSet> cores = AffinityOf(0);
  ASSERT_TRUE(cores.ok()) << cores.status();
  const Outcome bound = RunMpi(1, "--bind-to hwthread", "where");
  EXPECT_TRUE(StrContains(bound.out, "threads 1 (")) << bound.out << bound.err;
  EXPECT_TRUE(StrContains(bound.out, "binding kept")) << bound.out;
  const Outcome unbound = RunMpi(2, "--bind-to none", "where");
  EXPECT_TRUE(
      StrContains(unbound.out,
                  StrCat("binding kept as the launcher was told), cores ",
                         FormatCpuSet(*cores))) ||
      cores->size() < 2)
      << unbound.out;
}

// srun without PMI would start as many jobs of one rank as it has tasks, all
// writing the same files.
TEST(MpiLaunchTest, ALauncherThatMpiDoesNotKnowIsRefused) {
  const std::string err =
      StrCat(testing::TempDir(), "/mpi_test_srun_", getpid());
  const int status =
      system(StrCat("env SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=3 timeout 60 '",
                    MpiCheck(), "' where >/dev/null 2>", err)
                 .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(StrContains(ReadAll(err),
                          ": launcher and library do not belong together"))
      << ReadAll(err);
}

TEST(MpiLaunchTest, TooShortAGraceIsWarnedOf) {
  EXPECT_TRUE(StrContains(RunMpi(1, "", "where").out,
                          "--mca odls_base_sigkill_timeout 10"));
  EXPECT_FALSE(StrContains(
      RunMpi(1, "--mca odls_base_sigkill_timeout 10", "where").out, "warning"));
}

} // namespace
} // namespace stowage
