#include "trainer/doctor/advice.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// LibTorch's code and data, and a first small model.
constexpr int64_t kLeastUseful = 512 * kMiB;
// Containers begin with 64 MiB; Open MPI takes some 4 MiB per pair of ranks there, and fails with SIGBUS when it is
// full.
constexpr int64_t kLeastShm = 128 * kMiB;
// Pinned buffers and InfiniBand's queues.
constexpr int64_t kLeastLocked = kGiB;
constexpr int64_t kLeastDisk = kGiB;

class Adviser {
 public:
  explicit Adviser(const Facts& facts) : facts_(facts) {}

  std::vector<std::string> Give() {
    Memory();
    Cores();
    Pages();
    Disks();
    Limits();
    if (!facts_.grace_warning.empty()) Say(facts_.grace_warning);
    return std::move(lines_);
  }

 private:
  void Say(std::string line) { lines_.push_back(std::move(line)); }

  void Memory() {
    if (!facts_.memory.has_value()) return Say(facts_.memory_error);
    const MachineMemory& memory = *facts_.memory;
    const RankShare share = ShareOf(memory, facts_.local_size);
    for (const std::string& warning : memory.warnings) Say(warning);
    if (share.bytes < kLeastUseful) {
      Say(absl::StrCat("a rank may use only ", HumanByteSize(share.bytes), " (", share.source,
                       "): the libraries alone take a quarter of a GiB; raise that limit, or start fewer ranks"));
    }
    if (memory.available < share.bytes * facts_.local_size / 2) {
      Say(absl::StrCat("only ", HumanByteSize(memory.available),
                       " of memory are available now, where the ranks of this "
                       "host may use ",
                       HumanByteSize(share.bytes * facts_.local_size),
                       ": other processes hold the rest; end them, or give memory.host less"));
    }
  }

  void Cores() {
    const int cores = static_cast<int>(facts_.cores.allowed.size());
    if (cores > 0 && facts_.local_size > cores) {
      Say(absl::StrCat(facts_.local_size, " ranks share ", cores, cores == 1 ? " core" : " cores",
                       ": they wait for each other at every collective; start at most one rank per core"));
    }
    if (facts_.cores.quota > 0.0 && facts_.cores.quota < cores) {
      Say(
          absl::StrFormat("the cgroup grants the time of %.2g cores, but %d may be run on: more threads than that are "
                          "throttled; raise the quota (cpu.max), or leave run.threads at auto, which heeds it",
                          facts_.cores.quota, cores));
    }
    if (facts_.numa.size() > 1 && facts_.local_size < static_cast<int>(facts_.numa.size())) {
      Say(absl::StrCat("the machine has ", facts_.numa.size(), " NUMA nodes and ", facts_.local_size,
                       facts_.local_size == 1 ? " rank" : " ranks",
                       ": memory of another node is slower; start a rank "
                       "for each (mpirun --map-by numa --bind-to numa)"));
    }
  }

  void Pages() {
    if (facts_.thp == "never") {
      Say("transparent huge pages are off: the pool asks for them, and without them a step takes 512 times the page "
          "faults; echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    }
    for (const HugePagePool& pool : facts_.huge_pages) {
      if (pool.free * pool.page_bytes >= kGiB) {
        Say(absl::StrCat(HumanByteSize(pool.free * pool.page_bytes), " are reserved as huge pages of ",
                         HumanByteSize(pool.page_bytes),
                         " and lie idle: Stowage does not use these; give them back "
                         "(sysctl vm.nr_hugepages)"));
      }
    }
  }

  void Disks() {
    for (const DiskFact& disk : facts_.disks) {
      const std::string name = disk.what == disk.path ? disk.path : absl::StrCat(disk.what, ", ", disk.path, ",");
      if (disk.total_bytes == 0) {
        Say(absl::StrCat(name, " cannot be looked at; make it, or name another"));
        continue;
      }
      if (!disk.writable) Say(absl::StrCat(name, " may not be written to by this user"));
      if (disk.path == "/dev/shm") {
        if (disk.free_bytes < kLeastShm) {
          Say(absl::StrCat("/dev/shm has ", HumanByteSize(disk.free_bytes),
                           " free: ranks of a host exchange through it, "
                           "and a full one ends them with SIGBUS; start the container with --shm-size=1g"));
        }
        continue;
      }
      if (disk.free_bytes < kLeastDisk) {
        Say(absl::StrCat(name, " has ", HumanByteSize(disk.free_bytes),
                         " free: a checkpoint takes 12 bytes a parameter; "
                         "make room, or name another folder"));
      }
      if (disk.in_memory) {
        Say(absl::StrCat(name,
                         " lies in memory (tmpfs): what is written there takes memory from the run; name a folder "
                         "on a disk"));
      }
    }
  }

  void Limits() {
    const bool pins = !facts_.gpus.empty() || facts_.infiniband;
    for (const ProcessLimit& limit : facts_.limits) {
      if (!limit.value.has_value()) continue;
      if (limit.variable == "RLIMIT_AS") {
        Say(absl::StrCat(
            "address space is limited to ", HumanByteSize(*limit.value),
            " (ulimit -v): that counts what "
            "is reserved and not used, and libraries fail in their own ways at it; set it to unlimited and "
            "give memory.host"));
      }
      if (limit.variable == "RLIMIT_MEMLOCK" && pins && *limit.value < kLeastLocked) {
        Say(absl::StrCat("locked memory is limited to ", HumanByteSize(*limit.value),
                         " (ulimit -l): GPUs and InfiniBand "
                         "transfer from locked memory only; set it to unlimited"));
      }
      if (limit.variable == "RLIMIT_NOFILE" && *limit.value < 1024) {
        Say(absl::StrCat("only ", *limit.value,
                         " files may be open (ulimit -n): data of many shards needs more; set it to "
                         "4096"));
      }
    }
  }

  const Facts& facts_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> AdviceFor(const Facts& facts) { return Adviser(facts).Give(); }

}  // namespace stowage
