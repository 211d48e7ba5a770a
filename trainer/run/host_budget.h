// What memory.host comes to on this rank, and keeping to it.
//
// A process has one allocator, so it has one budget: it lasts from the first rank of this process that asks for it
// until the last lets it go. Where the ranks are threads of one process (in-process communicators, for tests and
// examples), they share the sum of theirs.
#ifndef STOWAGE_TRAINER_RUN_HOST_BUDGET_H_
#define STOWAGE_TRAINER_RUN_HOST_BUDGET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/budget/budget.h"
#include "memory/budget/machine_memory.h"
#include "memory/shortage_handler.h"
#include "sharding/communicator.h"
#include "trainer/config/config.h"

namespace stowage {

struct ResolvedHostBudget {
  std::optional<int64_t> bytes;  // of one rank; nullopt: no bound
  std::string source;            // "memory.host: 80% (9.6 GiB, of half of 24 GiB, the machine's memory (MemTotal))"
  std::vector<std::string> warnings;
};

// By the rule that docs/config.md states: bytes are themselves; a share is of what this rank may use; auto is what it
// may use where the system would refuse or kill beyond it (cgroup, ulimit, batch system), else no bound.
// `ranks_on_host` >= 1.
ResolvedHostBudget ResolveHostBudget(const BudgetValue& host, const MachineMemory& memory, int ranks_on_host);

class HostBudget {
 public:
  // Reads what this machine has, and from here on holds the process to memory.host. SetUpProcess was called.
  // ResourceExhausted: the process holds more than that already. FailedPrecondition: the process has another budget.
  // Not collective; Budget has the thread's side of it.
  static absl::StatusOr<std::shared_ptr<HostBudget>> Acquire(const MemoryConfig& memory, const Placement& placement,
                                                             int ranks_in_process);
  ~HostBudget();

  // Ranks that live in this process as threads: all of an in-process communicator, else this one.
  static int RanksInProcess(const Communicator& communicator);

  const ResolvedHostBudget& resolved() const { return resolved_; }
  // Budget::Check; nothing to say without a bound.
  absl::StatusOr<std::string> Check();
  // Gives back what is idle: Budget::GiveBackIdle; without a bound, the pool's and malloc's free pages.
  void GiveBackIdle();
  // Null without a bound.
  Budget* budget() { return budget_.get(); }

 private:
  HostBudget() = default;

  ResolvedHostBudget resolved_;
  int64_t process_bytes_ = 0;
  std::unique_ptr<Budget> budget_;
  ShortageHandler* before_ = nullptr;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_HOST_BUDGET_H_
