// What a machine and one rank on it have, as found. Plain data; what is missing was not found.
#ifndef STOWAGE_TRAINER_DOCTOR_FACTS_H_
#define STOWAGE_TRAINER_DOCTOR_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memory/budget/machine_memory.h"
#include "sharding/cpu_set.h"

namespace stowage {

struct CoreFactsFound {
  int online = 0;      // of the machine
  CpuSet allowed;      // by the cpuset cgroup, to all ranks of this host together
  CpuSet bound;        // what this rank was started on
  double quota = 0.0;  // processor time that the cgroup grants, in cores; 0: no limit
  std::string cpu;     // "AMD EPYC 9654, AVX512"
  std::string plan;    // "threads 2 (auto: 2 cores, 1 rank on this host), cores 0-1"
};

struct NumaNode {
  int node = 0;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;
  std::string cores;  // "0-63"
};

struct HugePagePool {
  int64_t page_bytes = 0;
  int64_t total = 0;  // pages
  int64_t free = 0;
};

struct DiskFact {
  std::string what;  // "run folders", "TMPDIR", "/dev/shm"
  std::string path;  // as asked for; of one that does not exist yet, the nearest folder above it was measured
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;  // for this user
  bool in_memory = false;  // tmpfs or ramfs: files there are memory
  bool writable = false;
};

struct ProcessLimit {
  std::string name;              // "locked memory (ulimit -l)"
  std::string variable;          // "RLIMIT_MEMLOCK"
  std::optional<int64_t> value;  // nullopt: unlimited. Bytes, or a count
  bool bytes = true;
};

struct Facts {
  std::string host;
  int rank = 0;
  int world_size = 1;
  int local_size = 1;

  std::optional<MachineMemory> memory;
  std::string memory_error;  // without `memory`
  CoreFactsFound cores;
  std::vector<NumaNode> numa;
  std::string thp;  // mode of transparent huge pages: "madvise"; empty: the kernel has none
  std::string thp_defrag;
  std::vector<HugePagePool> huge_pages;
  std::vector<DiskFact> disks;
  std::vector<ProcessLimit> limits;

  std::vector<std::string> gpus;  // "NVIDIA H200 (0000:19:00.0)"
  std::string gpu_search;         // where was looked, and what was found there
  std::string cuda_driver;
  std::string mpi;
  std::vector<std::string> launcher;  // variables of the launcher: "OMPI_COMM_WORLD_SIZE=2"
  std::string grace_warning;          // GraceWarning(), empty: none
  std::string nccl;
  std::string libtorch;
  bool infiniband = false;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DOCTOR_FACTS_H_
