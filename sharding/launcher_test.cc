#include "sharding/launcher.h"

#include <map>

#include "gtest/gtest.h"

namespace stowage {
namespace {

using Variables = std::map<std::string, std::string>;

Environment Of(const Variables& variables) {
  return [variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

TEST(LauncherTest, ABatchScriptIsNoLauncher) {
  EXPECT_FALSE(StartedByLauncher(Of({})));
  EXPECT_FALSE(StartedByLauncher(Of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}})));
}

TEST(LauncherTest, MpirunAndSrunAreSeenAlsoWithOneRank) {
  EXPECT_TRUE(StartedByLauncher(Of({{"OMPI_COMM_WORLD_SIZE", "1"}})));
  EXPECT_TRUE(StartedByLauncher(Of({{"PMIX_RANK", "0"}})));
  EXPECT_TRUE(StartedByLauncher(Of({{"PMI_RANK", "0"}})));
}

// After MPI_Init of a process alone: Open MPI 4.1 leaves these behind.
TEST(LauncherTest, WhatMpiSetsByItselfIsNoLauncher) {
  const Environment alone = Of({{"OMPI_MCA_ess", "singleton"}, {"OMPI_MCA_orte_launch", "1"}, {"PMIX_RANK", "0"}});
  EXPECT_FALSE(StartedByLauncher(alone));
  EXPECT_EQ(GraceWarningFor(alone), "");
}

TEST(LauncherTest, SrunWithoutPmiIsALauncherWhoseSizeMpiWillNotFind) {
  const Environment srun = Of({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}});
  EXPECT_TRUE(StartedByLauncher(srun));
  EXPECT_EQ(LauncherWorldSize(srun), 4);
}

TEST(LauncherTest, MpirunsSizeGoesBeforeThatOfTheStepItRunsIn) {
  EXPECT_EQ(
      LauncherWorldSize(Of({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"OMPI_COMM_WORLD_SIZE", "8"}})), 8);
  EXPECT_EQ(LauncherWorldSize(Of({{"PMIX_RANK", "0"}})), std::nullopt);
}

TEST(LauncherTest, DefaultBindingIsNotTheUsers) {
  EXPECT_FALSE(UserChoseBinding(Of({{"OMPI_MCA_orte_bound_at_launch", "1"}})));
  EXPECT_FALSE(UserChoseBinding(Of({{"OMPI_MCA_rmaps_base_mapping_policy", "core"}})));
  EXPECT_TRUE(UserChoseBinding(Of({{"OMPI_MCA_hwloc_base_binding_policy", "none"}})));
  EXPECT_TRUE(UserChoseBinding(Of({{"OMPI_MCA_rmaps_base_mapping_policy", "slot:pe=2"}})));
  EXPECT_TRUE(UserChoseBinding(Of({{"OMPI_MCA_orte_rankfile", "/tmp/ranks"}})));
}

TEST(LauncherTest, GraceIsWarnedOfOnlyUnderOpenMpi4AndOnlyIfShort) {
  EXPECT_EQ(GraceWarningFor(Of({})), "");
  EXPECT_EQ(GraceWarningFor(Of({{"PMIX_RANK", "0"}})), "");
  Variables mpirun = {{"OMPI_MCA_ess", "^singleton"}, {"OMPI_MCA_orte_launch", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
  EXPECT_NE(GraceWarningFor(Of(mpirun)).find("kills this job after 2 s"), std::string::npos);
  mpirun["OMPI_MCA_odls_base_sigkill_timeout"] = "4";
  EXPECT_NE(GraceWarningFor(Of(mpirun)).find("kills this job after 8 s"), std::string::npos);
  EXPECT_NE(GraceWarningFor(Of(mpirun)).find("--mca odls_base_sigkill_timeout 10"), std::string::npos);
  mpirun["OMPI_MCA_odls_base_sigkill_timeout"] = "5";
  EXPECT_EQ(GraceWarningFor(Of(mpirun)), "");
}

TEST(LauncherTest, SigcontAnnouncesTheEndUnlessMpirunHandsOnThatOfOthers) {
  EXPECT_FALSE(AnnouncesEndBySigcont(Of({})));
  EXPECT_FALSE(AnnouncesEndBySigcont(Of({{"PMIX_RANK", "0"}})));
  Variables mpirun = {{"OMPI_MCA_ess", "^singleton"}, {"OMPI_MCA_orte_launch", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
  EXPECT_TRUE(AnnouncesEndBySigcont(Of(mpirun)));
  mpirun["OMPI_MCA_orte_forward_job_control"] = "0";
  EXPECT_TRUE(AnnouncesEndBySigcont(Of(mpirun)));
  mpirun["OMPI_MCA_orte_forward_job_control"] = "1";
  EXPECT_FALSE(AnnouncesEndBySigcont(Of(mpirun)));
}

}  // namespace
}  // namespace stowage
