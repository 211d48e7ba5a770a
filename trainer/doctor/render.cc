#include "trainer/doctor/render.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/byte_size.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

std::string CoreText(const CpuSet& cores) {
  return absl::StrCat(cores.size(), cores.size() == 1 ? " core (" : " cores (", FormatCpuSet(cores), ")");
}

std::string LimitText(const ProcessLimit& limit) {
  if (!limit.value.has_value()) return "unlimited";
  return limit.bytes ? HumanByteSize(*limit.value) : absl::StrCat(*limit.value);
}

class Text {
 public:
  void Line(const std::string& name, const std::string& value) {
    absl::StrAppend(&out_, absl::StrFormat("%-18s %s\n", name == last_ ? "" : name, value));
    last_ = name;
  }
  void Heading(const std::string& heading) { absl::StrAppend(&out_, "\n", heading, "\n"); }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
  std::string last_;
};

void Memory(const Facts& facts, Text* text) {
  if (!facts.memory.has_value()) return text->Line("memory", facts.memory_error);
  const MachineMemory& memory = *facts.memory;
  text->Line("memory", absl::StrCat(HumanByteSize(memory.total), ", ", HumanByteSize(memory.available),
                                    " available now (MemAvailable)"));
  const RankShare share = ShareOf(memory, facts.local_size);
  // An undivided bound names its size itself.
  const std::string size = HumanByteSize(share.bytes);
  text->Line("this rank may use",
             absl::StartsWith(share.source, size) ? share.source : absl::StrCat(size, ": ", share.source));
  for (const MemoryBound& bound : memory.bounds) {
    text->Line("bounds on memory",
               absl::StrCat(HumanByteSize(bound.bytes), "  ", bound.source,
                            bound.per_process ? ", for each process" : ", for this host's ranks together",
                            bound.enforced ? "" : "; no limit, only what there is"));
  }
  text->Line("memory.host: auto",
             share.enforced ? absl::StrCat("is ", HumanByteSize(share.bytes), " here") : "is no bound here");
}

void Places(const Facts& facts, Text* text) {
  for (const NumaNode& node : facts.numa) {
    text->Line("NUMA nodes",
               absl::StrCat("node ", node.node, ": cores ", node.cores, ", ", HumanByteSize(node.total_bytes), ", ",
                            HumanByteSize(node.free_bytes), " free"));
  }
  if (facts.numa.empty()) text->Line("NUMA nodes", "none told by /sys/devices/system/node");
  text->Line("huge pages", facts.thp.empty()
                               ? "transparent: the kernel has none"
                               : absl::StrCat("transparent: ", facts.thp, ", defrag: ", facts.thp_defrag));
  for (const HugePagePool& pool : facts.huge_pages) {
    text->Line("huge pages", absl::StrCat("reserved, of ", HumanByteSize(pool.page_bytes), ": ", pool.total, ", ",
                                          pool.free, " free"));
  }
  for (const DiskFact& disk : facts.disks) {
    text->Line("disks", absl::StrCat(disk.what == disk.path ? "" : absl::StrCat(disk.what, " "), disk.path, ": ",
                                     HumanByteSize(disk.free_bytes), " free of ", HumanByteSize(disk.total_bytes),
                                     disk.in_memory ? ", in memory" : "", disk.writable ? "" : ", not writable"));
  }
  for (const ProcessLimit& limit : facts.limits) text->Line("limits", absl::StrCat(limit.name, ": ", LimitText(limit)));
}

}  // namespace

std::string FactsText(const Facts& facts, const std::vector<std::string>& advice) {
  Text text;
  text.Line("host", absl::StrCat(facts.host, ": ", facts.local_size, facts.local_size == 1 ? " rank" : " ranks",
                                 " here, ", facts.world_size, " in all"));
  Memory(facts, &text);
  text.Line("cores", absl::StrCat(facts.cores.online, " in the machine, ", CoreText(facts.cores.allowed),
                                  " for this host's ranks, this one was started on ", CoreText(facts.cores.bound)));
  text.Line("cores", facts.cores.quota > 0.0 ? absl::StrFormat("the cgroup grants the time of %.3g", facts.cores.quota)
                                             : std::string("no quota of processor time (cgroup)"));
  text.Line("cores", facts.cores.plan);
  text.Line("CPU", facts.cores.cpu);
  Places(facts, &text);
  text.Line("GPUs",
            facts.gpus.empty() ? absl::StrCat("none (", facts.gpu_search, ")") : absl::StrJoin(facts.gpus, ", "));
  text.Line("CUDA driver", facts.cuda_driver);
  text.Line("MPI", facts.mpi);
  text.Line("launcher",
            facts.launcher.empty() ? "none: this process was started by itself" : absl::StrJoin(facts.launcher, " "));
  text.Line("NCCL", facts.nccl);
  text.Line("LibTorch", facts.libtorch);
  if (advice.empty()) {
    text.Heading("Nothing to change.");
  } else {
    text.Heading("What to change:");
  }
  std::string out = text.Take();
  for (const std::string& line : advice) absl::StrAppend(&out, "- ", line, "\n");
  return out;
}

nlohmann::ordered_json FactsJson(const Facts& facts, const std::vector<std::string>& advice) {
  Json out = {
      {"host", facts.host}, {"rank", facts.rank}, {"world_size", facts.world_size}, {"local_size", facts.local_size}};
  if (facts.memory.has_value()) {
    const RankShare share = ShareOf(*facts.memory, facts.local_size);
    Json bounds = Json::array();
    for (const MemoryBound& bound : facts.memory->bounds) {
      bounds.push_back({{"bytes", bound.bytes},
                        {"source", bound.source},
                        {"per_process", bound.per_process},
                        {"enforced", bound.enforced}});
    }
    out["memory"] = {{"total_bytes", facts.memory->total}, {"available_bytes", facts.memory->available},
                     {"rank_bytes", share.bytes},          {"rank_source", share.source},
                     {"rank_enforced", share.enforced},    {"bounds", bounds}};
  }
  out["cores"] = {{"online", facts.cores.online},
                  {"allowed", FormatCpuSet(facts.cores.allowed)},
                  {"bound", FormatCpuSet(facts.cores.bound)},
                  {"plan", facts.cores.plan},
                  {"cpu", facts.cores.cpu}};
  if (facts.cores.quota > 0.0) out["cores"]["quota"] = facts.cores.quota;
  out["numa"] = Json::array();
  for (const NumaNode& node : facts.numa) {
    out["numa"].push_back({{"node", node.node},
                           {"total_bytes", node.total_bytes},
                           {"free_bytes", node.free_bytes},
                           {"cores", node.cores}});
  }
  if (!facts.thp.empty()) out["transparent_huge_pages"] = {{"enabled", facts.thp}, {"defrag", facts.thp_defrag}};
  out["huge_pages"] = Json::array();
  for (const HugePagePool& pool : facts.huge_pages) {
    out["huge_pages"].push_back({{"page_bytes", pool.page_bytes}, {"total", pool.total}, {"free", pool.free}});
  }
  out["disks"] = Json::array();
  for (const DiskFact& disk : facts.disks) {
    out["disks"].push_back({{"what", disk.what},
                            {"path", disk.path},
                            {"total_bytes", disk.total_bytes},
                            {"free_bytes", disk.free_bytes},
                            {"in_memory", disk.in_memory},
                            {"writable", disk.writable}});
  }
  out["limits"] = Json::object();
  for (const ProcessLimit& limit : facts.limits) {
    out["limits"][limit.variable] = limit.value.has_value() ? Json(*limit.value) : Json("unlimited");
  }
  out["gpus"] = facts.gpus;
  out["gpu_search"] = facts.gpu_search;
  out["cuda_driver"] = facts.cuda_driver;
  out["mpi"] = facts.mpi;
  out["launcher"] = facts.launcher;
  out["nccl"] = facts.nccl;
  out["libtorch"] = facts.libtorch;
  out["advice"] = advice;
  return out;
}

}  // namespace stowage
