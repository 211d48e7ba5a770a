#include "trainer/doctor/read_facts.h"

#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "sharding/cpu_quota.h"

namespace stowage {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Names in a folder, sorted; empty if it cannot be read.
std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The number behind a prefix: 3 of "node3"; -1: another name.
int NumberBehind(const std::string& name, absl::string_view prefix) {
  int number = -1;
  if (!absl::StartsWith(name, prefix) || !absl::SimpleAtoi(name.substr(prefix.size()), &number)) return -1;
  return number;
}

int64_t NumberIn(const std::string& path) {
  int64_t number = 0;
  return absl::SimpleAtoi(FirstLine(path), &number) ? number : 0;
}

// "madvise" of "always [madvise] never".
std::string Chosen(const std::string& line) {
  const size_t from = line.find('['), to = line.find(']');
  return from == std::string::npos || to == std::string::npos ? "" : line.substr(from + 1, to - from - 1);
}

}  // namespace

void ReadMemoryFacts(const MachineSource& source, Facts* facts) {
  absl::StatusOr<MachineMemory> memory = ReadMachineMemory(source);
  if (memory.ok()) {
    facts->memory = *std::move(memory);
  } else {
    facts->memory_error = std::string(memory.status().message());
  }
}

void ReadNumaNodes(const MachineSource& source, Facts* facts) {
  const std::string folder = source.root + "/sys/devices/system/node";
  for (const std::string& name : Names(folder)) {
    NumaNode node;
    node.node = NumberBehind(name, "node");
    if (node.node < 0) continue;
    node.cores = FirstLine(absl::StrCat(folder, "/", name, "/cpulist"));
    const std::string meminfo = ReadText(absl::StrCat(folder, "/", name, "/meminfo"));
    for (absl::string_view line : absl::StrSplit(meminfo, '\n', absl::SkipEmpty())) {
      // "Node 0 MemTotal:       24684084 kB"
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipWhitespace());
      int64_t kib = 0;
      if (words.size() < 4 || !absl::SimpleAtoi(words[3], &kib)) continue;
      if (words[2] == "MemTotal:") node.total_bytes = kib * 1024;
      if (words[2] == "MemFree:") node.free_bytes = kib * 1024;
    }
    facts->numa.push_back(std::move(node));
  }
  std::sort(facts->numa.begin(), facts->numa.end(),
            [](const NumaNode& a, const NumaNode& b) { return a.node < b.node; });
}

void ReadHugePages(const MachineSource& source, Facts* facts) {
  const std::string transparent = source.root + "/sys/kernel/mm/transparent_hugepage";
  facts->thp = Chosen(FirstLine(transparent + "/enabled"));
  facts->thp_defrag = Chosen(FirstLine(transparent + "/defrag"));
  const std::string folder = source.root + "/sys/kernel/mm/hugepages";
  for (const std::string& name : Names(folder)) {
    const std::string size(absl::StripSuffix(name, "kB"));
    const int kib = NumberBehind(size, "hugepages-");
    if (kib <= 0) continue;
    const std::string pool = absl::StrCat(folder, "/", name);
    facts->huge_pages.push_back(
        {int64_t{1024} * kib, NumberIn(pool + "/nr_hugepages"), NumberIn(pool + "/free_hugepages")});
  }
}

void ReadGpus(const MachineSource& source, Facts* facts) {
  const std::string driver = source.root + "/proc/driver/nvidia";
  const std::vector<std::string> cards = Names(driver + "/gpus");
  for (const std::string& card : cards) {
    const std::string text = ReadText(absl::StrCat(driver, "/gpus/", card, "/information"));
    std::string model = "NVIDIA GPU";
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (absl::ConsumePrefix(&line, "Model:")) model = std::string(absl::StripAsciiWhitespace(line));
    }
    facts->gpus.push_back(absl::StrCat(model, " (", card, ")"));
  }
  int devices = 0;
  for (const std::string& name : Names(source.root + "/dev")) devices += NumberBehind(name, "nvidia") >= 0 ? 1 : 0;
  const bool loaded = fs::exists(driver + "/version");
  facts->gpu_search = absl::StrCat("/proc/driver/nvidia: ", loaded ? "the driver is loaded" : "no driver", ", ",
                                   cards.size(), " GPUs; /dev/nvidia[0-9]: ", devices, " devices");
  facts->infiniband = !Names(source.root + "/sys/class/infiniband").empty();
}

void ReadLauncher(const MachineSource& source, Facts* facts) {
  for (const char* name :
       {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_RANK", "SLURM_JOB_ID",
        "SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    const char* value = source.variable(name);
    if (value != nullptr) facts->launcher.push_back(absl::StrCat(name, "=", value));
  }
}

void ReadLimits(const MachineSource& source, Facts* facts) {
  const struct {
    const char* line;
    const char* name;
    const char* variable;
    bool bytes;
  } limits[] = {{"Max address space", "address space (ulimit -v)", "RLIMIT_AS", true},
                {"Max data size", "data (ulimit -d)", "RLIMIT_DATA", true},
                {"Max locked memory", "locked memory (ulimit -l)", "RLIMIT_MEMLOCK", true},
                {"Max stack size", "stack (ulimit -s)", "RLIMIT_STACK", true},
                {"Max file size", "size of a file (ulimit -f)", "RLIMIT_FSIZE", true},
                {"Max open files", "open files (ulimit -n)", "RLIMIT_NOFILE", false},
                {"Max processes", "processes (ulimit -u)", "RLIMIT_NPROC", false}};
  const std::string text = ReadText(source.root + "/proc/self/limits");
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    for (const auto& limit : limits) {
      absl::string_view rest = line;
      if (!absl::ConsumePrefix(&rest, limit.line)) continue;
      const std::vector<std::string> words = absl::StrSplit(rest, ' ', absl::SkipWhitespace());
      ProcessLimit found{limit.name, limit.variable, std::nullopt, limit.bytes};
      int64_t value = 0;
      if (!words.empty() && absl::SimpleAtoi(words[0], &value)) found.value = value;  // else "unlimited"
      facts->limits.push_back(std::move(found));
    }
  }
}

void ReadDisks(const std::vector<std::pair<std::string, std::string>>& folders, Facts* facts) {
  for (const auto& [what, path] : folders) {
    std::error_code error;
    fs::path there = fs::absolute(path, error);
    while (!fs::exists(there, error) && there.has_parent_path() && there != there.parent_path()) {
      there = there.parent_path();
    }
    DiskFact disk{what, path};
    struct statfs found;
    if (statfs(there.c_str(), &found) == 0) {
      disk.total_bytes = static_cast<int64_t>(found.f_blocks) * found.f_bsize;
      disk.free_bytes = static_cast<int64_t>(found.f_bavail) * found.f_bsize;
      const auto type = static_cast<unsigned long>(found.f_type);
      disk.in_memory = type == TMPFS_MAGIC || type == RAMFS_MAGIC;
      disk.writable = access(there.c_str(), W_OK) == 0;
    }
    facts->disks.push_back(std::move(disk));
  }
}

void ReadCores(const MachineSource& source, const CpuSet& bound, Facts* facts) {
  facts->cores.online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  facts->cores.bound = bound;
  absl::StatusOr<CpuSet> allowed = CpusetCores();
  facts->cores.allowed = allowed.ok() ? *std::move(allowed) : bound;
  facts->cores.quota = CgroupQuotaCores(ReadText(source.root + "/proc/self/cgroup"), source.root + "/sys/fs/cgroup");
}

}  // namespace stowage
