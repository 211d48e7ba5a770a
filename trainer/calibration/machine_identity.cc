#include "trainer/calibration/machine_identity.h"

#include <gnu/libc-version.h>
#include <sched.h>
#include <torch/version.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/gemm.h"
#include "sharding/launch.h"

namespace stowage {
namespace {

// The value of the first line of /proc/cpuinfo with this key; empty: none.
std::string CpuInfo(const std::string& key) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind(key, 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::string Cpu() {
  std::vector<std::string> used;
  for (const std::string& flag : std::vector<std::string>(absl::StrSplit(CpuInfo("flags"), ' '))) {
    for (const char* known : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
      if (flag == known) used.push_back(flag);
    }
  }
  const std::string model = CpuInfo("model name");
  return absl::StrCat(model.empty() ? "unknown CPU" : model, ", ", absl::StrJoin(used, " "));
}

int64_t Cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
}

}  // namespace

MachineIdentity ThisMachine() {
  MachineIdentity machine;
  machine.cpu = Cpu();
  machine.cores = Cores();
  machine.page_bytes = sysconf(_SC_PAGESIZE);
  machine.libc = absl::StrCat("glibc ", gnu_get_libc_version());
  machine.libtorch = TORCH_VERSION;
  machine.onednn = kernels::GemmLibraryVersion();
  machine.mpi = std::string(MpiVersion().substr(0, MpiVersion().find(',')));
  return machine;
}

std::vector<std::string> Differences(const MachineIdentity& found, const MachineIdentity& wanted) {
  std::vector<std::string> differences;
  const auto compare = [&](const char* what, const auto& theirs, const auto& ours) {
    if (theirs != ours) differences.push_back(absl::StrCat(what, " ", theirs, " and not ", ours));
  };
  compare("CPU", found.cpu, wanted.cpu);
  compare("cores", found.cores, wanted.cores);
  compare("page size", found.page_bytes, wanted.page_bytes);
  compare("libc", found.libc, wanted.libc);
  compare("LibTorch", found.libtorch, wanted.libtorch);
  compare("oneDNN", found.onednn, wanted.onednn);
  compare("MPI", found.mpi, wanted.mpi);
  return differences;
}

}  // namespace stowage
