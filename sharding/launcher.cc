#include "sharding/launcher.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace stowage {
namespace {

// The option that the warning tells to give.
constexpr char kTimeoutOption[] = "--mca odls_base_sigkill_timeout 10";
constexpr int kDefaultTimeoutSeconds = 1;  // Open MPI 4.1's
// mpirun waits twice as long: a checkpoint of some gigabytes is written in that.
constexpr int kEnoughTimeoutSeconds = 5;

}  // namespace

bool StartedByLauncher(const Environment& environment) {
  // MPI_Init of a process without launcher sets PMIX_RANK and more by itself; under mpirun this says "^singleton".
  const char* kind = environment("OMPI_MCA_ess");
  if (kind != nullptr && absl::string_view(kind) == "singleton") return false;
  // Open MPI, PMIx (srun --mpi=pmix, prterun), PMI-1/2 (srun --mpi=pmi2, MPICH's mpiexec).
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (environment(name) != nullptr) return true;
  }
  // srun without any of these, more than one task: Launch refuses that, instead of starting as many jobs of one rank.
  const std::optional<int> tasks = LauncherWorldSize(environment);
  return tasks.has_value() && *tasks > 1;
}

std::optional<int> LauncherWorldSize(const Environment& environment) {
  // SLURM_STEP_NUM_TASKS is srun's; SLURM_NTASKS is also there in a batch script, which is no rank.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    int size = 0;
    const char* value = environment(name);
    if (value == nullptr || !absl::SimpleAtoi(value, &size)) continue;
    if (absl::StartsWith(name, "SLURM") && environment("SLURM_PROCID") == nullptr) continue;
    return size;
  }
  return std::nullopt;
}

std::optional<int> LauncherLocalSize(const Environment& environment) {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}) {
    int size = 0;
    const char* value = environment(name);
    if (value != nullptr && absl::SimpleAtoi(value, &size)) return size;
  }
  return std::nullopt;
}

bool StartedByOpenMpi4(const Environment& environment) {
  // MPI_Init alone sets the first too, but not the second.
  return environment("OMPI_MCA_orte_launch") != nullptr && environment("OMPI_COMM_WORLD_SIZE") != nullptr;
}

bool UserChoseBinding(const Environment& environment) {
  for (const char* name :
       {"OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_hwloc_base_cpu_set", "OMPI_MCA_hwloc_base_cpu_list",
        "OMPI_MCA_orte_rankfile", "OMPI_MCA_rmaps_rank_file_path", "OMPI_MCA_rmaps_base_cpus_per_rank"}) {
    if (environment(name) != nullptr) return true;
  }
  const char* mapping = environment("OMPI_MCA_rmaps_base_mapping_policy");
  return mapping != nullptr && absl::StrContains(absl::AsciiStrToUpper(mapping), "PE=");
}

std::optional<int> KillTimeoutSeconds(const Environment& environment) {
  if (!StartedByOpenMpi4(environment)) return std::nullopt;
  const char* given = environment("OMPI_MCA_odls_base_sigkill_timeout");
  int seconds = 0;
  if (given == nullptr || !absl::SimpleAtoi(given, &seconds)) return kDefaultTimeoutSeconds;
  return seconds;
}

bool AnnouncesEndBySigcont(const Environment& environment) {
  if (!StartedByOpenMpi4(environment)) return false;
  const char* forwarded = environment("OMPI_MCA_orte_forward_job_control");
  if (forwarded == nullptr) return true;
  // Open MPI's words for no; anything else may be a yes, and then SIGCONT has its usual meaning.
  const std::string word = absl::AsciiStrToLower(forwarded);
  return word == "0" || word == "false" || word == "no" || word == "disabled";
}

std::string GraceWarningFor(const Environment& environment) {
  const std::optional<int> seconds = KillTimeoutSeconds(environment);
  if (!seconds.has_value() || *seconds >= kEnoughTimeoutSeconds) return "";
  return absl::StrCat("told to end, mpirun kills this job after ", 2 * *seconds,
                      " s, which may be too soon to save a checkpoint; give it `", kTimeoutOption,
                      "`, or stop the job by sending mpirun SIGUSR1");
}

}  // namespace stowage
