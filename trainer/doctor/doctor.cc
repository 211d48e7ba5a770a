#include "trainer/doctor/doctor.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "trainer/doctor/advice.h"
#include "trainer/doctor/read_facts.h"
#include "trainer/doctor/render.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

std::string VariableOr(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || value[0] == '\0' ? otherwise : value;
}

std::string CacheFolder() {
  const std::string home = VariableOr("HOME", "/");
  return absl::StrCat(VariableOr("XDG_CACHE_HOME", absl::StrCat(home, "/.cache")), "/stowage");
}

}  // namespace

CpuSet StartedOn() {
  absl::StatusOr<CpuSet> cores = AffinityOf(0);
  return cores.ok() ? *std::move(cores) : CpuSet();
}

Facts Examine(const Placement& placement, const ThreadPlan& threads, const DoctorOptions& options) {
  const MachineSource here;
  Facts facts;
  facts.host = placement.host;
  facts.rank = placement.rank;
  facts.world_size = placement.world_size;
  facts.local_size = placement.local_size;
  ReadMemoryFacts(here, &facts);
  ReadCores(here, options.started_on, &facts);
  facts.cores.cpu = CpuKind();
  facts.cores.plan = threads.description;
  ReadNumaNodes(here, &facts);
  ReadHugePages(here, &facts);
  ReadDisks({{"run folders", options.run_dir},
             {"prepared data", CacheFolder()},
             {"TMPDIR", VariableOr("TMPDIR", "/tmp")},
             {"/dev/shm", "/dev/shm"}},
            &facts);
  ReadLimits(here, &facts);
  ReadGpus(here, &facts);
  facts.cuda_driver = options.cuda_driver;
  facts.mpi = MpiVersion();
  ReadLauncher(here, &facts);
  facts.grace_warning = GraceWarning();
  facts.nccl = "not built: this program computes on CPUs";
  facts.libtorch = LibTorchVersion();
  return facts;
}

absl::StatusOr<std::string> DoctorReport(Communicator& communicator, const ThreadPlan& threads,
                                         const DoctorOptions& options) {
  std::string mine;
  if (communicator.placement().local_rank == 0) {
    const Facts facts = Examine(communicator.placement(), threads, options);
    const std::vector<std::string> advice = AdviceFor(facts);
    mine = options.json ? FactsJson(facts, advice).dump() : FactsText(facts, advice);
  }
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> parts, communicator.ExchangeText(mine));
  if (communicator.rank() != 0) return std::string();
  if (options.json) {
    nlohmann::ordered_json report = {{"hosts", nlohmann::ordered_json::array()}};
    for (const std::string& part : parts) {
      if (!part.empty()) report["hosts"].push_back(nlohmann::ordered_json::parse(part));
    }
    return report.dump(2) + "\n";
  }
  std::string report;
  for (const std::string& part : parts) {
    if (!part.empty()) absl::StrAppend(&report, report.empty() ? "" : "\n", part);
  }
  return report;
}

}  // namespace stowage
