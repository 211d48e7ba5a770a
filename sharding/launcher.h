// What the launcher's environment says. Only these functions know launchers' variables.
//
// Open MPI 4.1's mpirun, found by experiment: it hands every MCA parameter of its command line and of its own
// environment to the ranks as OMPI_MCA_<name>. So `--bind-to X` is OMPI_MCA_hwloc_base_binding_policy=X, --cpu-set and
// --cpu-list are hwloc_base_cpu_set and _list, a rankfile is orte_rankfile, `--map-by slot:PE=2` is
// rmaps_base_mapping_policy, and `--mca odls_base_sigkill_timeout 10` is OMPI_MCA_odls_base_sigkill_timeout. Its
// own default binding sets none of the first five (only orte_bound_at_launch=1). What stands in a file
// openmpi-mca-params.conf is not handed on.
//
// Thread-safe as long as nobody changes the environment.
#ifndef STOWAGE_SHARDING_LAUNCHER_H_
#define STOWAGE_SHARDING_LAUNCHER_H_

#include <functional>
#include <optional>
#include <string>

namespace stowage {

// The value of a variable, null if it is not set: getenv, or a test's.
using Environment = std::function<const char*(const char* name)>;

// A launcher with which MPI can find its peers started this process.
bool StartedByLauncher(const Environment& environment);

// Ranks that the launcher says it started, if it says.
std::optional<int> LauncherWorldSize(const Environment& environment);

// How many of them are on this host, if it says.
std::optional<int> LauncherLocalSize(const Environment& environment);

// Open MPI 4's mpirun started this process (not srun, not a later Open MPI).
bool StartedByOpenMpi4(const Environment& environment);

// The user told mpirun how to bind. Only for StartedByOpenMpi4.
bool UserChoseBinding(const Environment& environment);

// odls_base_sigkill_timeout of Open MPI 4's mpirun, in seconds; nullopt without it. To end a job mpirun sends SIGCONT,
// sleeps so long, sends SIGTERM, sleeps as long again, sends SIGKILL.
std::optional<int> KillTimeoutSeconds(const Environment& environment);

// A SIGCONT from the launcher means that it ends the job: under Open MPI 4's mpirun, unless it was told to hand on the
// SIGCONT that a person sends it (orte_forward_job_control).
bool AnnouncesEndBySigcont(const Environment& environment);

// See GraceWarning in launch.h.
std::string GraceWarningFor(const Environment& environment);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_LAUNCHER_H_
