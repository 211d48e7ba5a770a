#include "sharding/cpu_set.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

// As many as Linux can be built for on x86; glibc's own cpu_set_t ends at 1,024.
constexpr int kMaxCpus = 8192;

struct KernelSetDeleter {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using KernelSet = std::unique_ptr<cpu_set_t, KernelSetDeleter>;
const size_t kKernelSetBytes = CPU_ALLOC_SIZE(kMaxCpus);

KernelSet ToKernelSet(const CpuSet& cores) {
  KernelSet set(CPU_ALLOC(kMaxCpus));
  CPU_ZERO_S(kKernelSetBytes, set.get());
  for (int core : cores) CPU_SET_S(core, kKernelSetBytes, set.get());
  return set;
}

absl::Status SetAffinity(pid_t tid, const CpuSet& cores) {
  const KernelSet set = ToKernelSet(cores);
  if (sched_setaffinity(tid, kKernelSetBytes, set.get()) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot run on cores ", FormatCpuSet(cores), ": sched_setaffinity: ", strerror(errno)));
}

std::vector<pid_t> Threads() {
  std::vector<pid_t> tids;
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return {0};
  while (const dirent* entry = readdir(folder)) {
    int tid = 0;
    if (absl::SimpleAtoi(entry->d_name, &tid)) tids.push_back(tid);
  }
  closedir(folder);
  return tids;
}

}  // namespace

std::string FormatCpuSet(const CpuSet& cores) {
  std::string text;
  for (size_t first = 0; first < cores.size();) {
    size_t last = first;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", cores[first]);
    if (last > first) absl::StrAppend(&text, "-", cores[last]);
    first = last + 1;
  }
  return text;
}

absl::StatusOr<CpuSet> AffinityOf(pid_t tid) {
  const KernelSet set = ToKernelSet({});
  if (sched_getaffinity(tid, kKernelSetBytes, set.get()) != 0) {
    return absl::InternalError(absl::StrCat("sched_getaffinity of ", tid, ": ", strerror(errno)));
  }
  CpuSet cores;
  for (int core = 0; core < kMaxCpus; ++core) {
    if (CPU_ISSET_S(core, kKernelSetBytes, set.get())) cores.push_back(core);
  }
  return cores;
}

absl::Status SetAffinityOfAllThreads(const CpuSet& cores) {
  STOWAGE_RETURN_IF_ERROR(SetAffinity(0, cores));
  // A thread may have ended since it was listed: only the caller's own move must succeed.
  for (pid_t tid : Threads()) SetAffinity(tid, cores).IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<CpuSet> CpusetCores() {
  STOWAGE_ASSIGN_OR_RETURN(const CpuSet before, AffinityOf(0));
  CpuSet all;
  for (int core = 0; core < kMaxCpus; ++core) all.push_back(core);
  STOWAGE_RETURN_IF_ERROR(SetAffinity(0, all));
  const absl::StatusOr<CpuSet> allowed = AffinityOf(0);
  STOWAGE_RETURN_IF_ERROR(SetAffinity(0, before));
  return allowed;
}

}  // namespace stowage
