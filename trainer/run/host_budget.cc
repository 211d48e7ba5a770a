#include "trainer/run/host_budget.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

constexpr int kHoldersNamed = 10;

std::string PercentText(double percent) { return absl::StrCat(absl::StrFormat("%g", percent), "%"); }

// Whatever this rank gets: is it there?
void Compare(const ResolvedHostBudget& resolved, const RankShare& share, const MachineMemory& memory, int ranks,
             std::vector<std::string>* warnings) {
  if (*resolved.bytes > share.bytes) {
    warnings->push_back(absl::StrCat("warning: ", resolved.source,
                                     " is more than this rank may use: ", HumanByteSize(share.bytes), " (",
                                     share.source, "); beyond that the system ends the run, not the budget"));
    return;
  }
  if (memory.available > 0 && *resolved.bytes > memory.available / ranks) {
    warnings->push_back(absl::StrCat(
        "warning: ", resolved.source, ranks > 1 ? absl::StrCat(" for each of ", ranks, " ranks") : "", ", but only ",
        HumanByteSize(memory.available), " of this machine's memory are available now (MemAvailable)"));
  }
}

// The threads that compute start now: their stacks are no growth that a limit on mapped bytes may refuse later.
void StartThreads() {
  const int threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [](int64_t, int64_t) {});
}

std::mutex& Mutex() {
  static std::mutex* const mu = new std::mutex;
  return *mu;
}

}  // namespace

ResolvedHostBudget ResolveHostBudget(const BudgetValue& host, const MachineMemory& memory, int ranks_on_host) {
  const RankShare share = ShareOf(memory, ranks_on_host);
  ResolvedHostBudget resolved;
  switch (host.kind) {
    case BudgetValue::Kind::kBytes:
      resolved.bytes = host.bytes;
      resolved.source = absl::StrCat("memory.host: ", ExactByteSize(host.bytes));
      if (host.bytes % 1024 != 0) absl::StrAppend(&resolved.source, " (", HumanByteSize(host.bytes), ")");
      break;
    case BudgetValue::Kind::kPercent:
      resolved.bytes = static_cast<int64_t>(static_cast<double>(share.bytes) * (host.percent / 100.0));
      resolved.source = absl::StrCat("memory.host: ", PercentText(host.percent), " (", HumanByteSize(*resolved.bytes),
                                     " a rank, of ", share.source, ")");
      break;
    case BudgetValue::Kind::kAuto:
      if (!share.enforced) {
        resolved.source = absl::StrCat("memory.host: auto (no bound; there is ", share.source, ")");
        resolved.warnings = memory.warnings;
        return resolved;
      }
      resolved.bytes = share.bytes;
      resolved.source = absl::StrCat("memory.host: auto (", HumanByteSize(share.bytes), " a rank: ", share.source, ")");
      break;
  }
  resolved.warnings = memory.warnings;
  Compare(resolved, share, memory, ranks_on_host, &resolved.warnings);
  return resolved;
}

int HostBudget::RanksInProcess(const Communicator& communicator) {
  return communicator.name() == "in-process" ? communicator.world_size() : 1;
}

absl::StatusOr<std::shared_ptr<HostBudget>> HostBudget::Acquire(const MemoryConfig& memory, const Placement& placement,
                                                                int ranks_in_process) {
  STOWAGE_ASSIGN_OR_RETURN(const MachineMemory machine, ReadMachineMemory());
  ResolvedHostBudget resolved = ResolveHostBudget(memory.host, machine, placement.local_size);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const int64_t process_bytes = resolved.bytes.has_value() && *resolved.bytes <= kMost / ranks_in_process
                                    ? *resolved.bytes * ranks_in_process
                                    : 0;

  const std::lock_guard<std::mutex> lock(Mutex());
  static std::weak_ptr<HostBudget>* const current = new std::weak_ptr<HostBudget>;
  if (std::shared_ptr<HostBudget> there = current->lock()) {
    // A limit of the process that the first rank's own limit has changed since looks different to the second.
    if (there->process_bytes_ == process_bytes || memory.host.kind != BudgetValue::Kind::kBytes) return there;
    return absl::FailedPreconditionError(absl::StrCat(resolved.source, ", but this process is held to ",
                                                      there->resolved_.source, " already; it can have one budget"));
  }
  std::shared_ptr<HostBudget> made(new HostBudget);
  made->resolved_ = std::move(resolved);
  made->process_bytes_ = process_bytes;
  if (process_bytes > 0) {
    StartThreads();
    BudgetOptions options;
    options.bytes = process_bytes;
    options.source = made->resolved_.source;
    options.advice = "raise memory.host or lower train.micro_batch";
    options.warning_share = memory.warning_threshold;
    options.critical_share = memory.critical_threshold;
    options.instruction = [] { return CurrentInstruction(); };
    options.largest_holders = [] { return absl::StrJoin(LargestHolderLines(kHoldersNamed), ", "); };
    STOWAGE_ASSIGN_OR_RETURN(made->budget_, Budget::Create(InstalledPool(), &ProcessLedger(), std::move(options)));
    made->before_ = SetShortageHandler(made->budget_.get());
  }
  *current = made;
  return made;
}

HostBudget::~HostBudget() {
  if (budget_ != nullptr) SetShortageHandler(before_);
}

void HostBudget::GiveBackIdle() {
  if (budget_ != nullptr) return budget_->GiveBackIdle();
  if (Pool* const pool = InstalledPool()) pool->Trim();
  malloc_trim(0);
}

absl::StatusOr<std::string> HostBudget::Check() {
  return budget_ == nullptr ? absl::StatusOr<std::string>(std::string()) : budget_->Check();
}

}  // namespace stowage
