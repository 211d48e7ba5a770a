// How much processor time the cgroup grants, in cores.
#ifndef STOWAGE_SHARDING_CPU_QUOTA_H_
#define STOWAGE_SHARDING_CPU_QUOTA_H_

#include <string>

#include "absl/strings/string_view.h"

namespace stowage {

// The tightest quota from this process's group up to the root, e.g. 1.5; 0 if there is none.
// Reads cpu.max (v2) and cpu.cfs_quota_us (v1). In a container whose own groups are not mounted by the path that
// /proc gives, the folders above them are read: there the container's limit stands at the root.
//   proc_cgroup  the text of /proc/self/cgroup
//   mount        where the cgroup file systems are: /sys/fs/cgroup
double CgroupQuotaCores(absl::string_view proc_cgroup, const std::string& mount);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_CPU_QUOTA_H_
