// The hand on the tap: keeps what this process holds in RAM below a number of bytes.
//
// Bound is RssAnon + RssFile + the resident pages of shared windows that this rank owns. The pool holds the tensors and
// obeys a limit; everything else (libraries, heap, stacks, MPI) is outside it and can only be measured. So
//
//   pool limit = budget - measured outside bytes - allowance
//
// and because the outside grows too, the limit is opened by windows: the pool may grow by 64 MiB, or by half of what is
// left if that is less, then it must ask (MakeRoom), and the outside is measured again. The allowance is for what the
// outside takes between two measurements. A limit of the system (DataLimit) stops what would go far beyond.
//
// When there is no room, room is made, cheapest first: idle pages of the pool, the caches that were registered, then
// malloc's free pages. Only then is the allocation refused, before a byte of it is taken; Explain has the words.
//
// Thread-safe. Borrows pool and ledger, which must outlive it.
#ifndef STOWAGE_MEMORY_BUDGET_BUDGET_H_
#define STOWAGE_MEMORY_BUDGET_BUDGET_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/budget/data_limit.h"
#include "memory/ledger.h"
#include "memory/pool/pool.h"
#include "memory/shortage_handler.h"

namespace stowage {

struct BudgetOptions {
  int64_t bytes = 0;
  std::string source;            // "memory.host: 600MiB", first in every error
  std::string advice;            // what to change, last in every error: "raise memory.host, or lower train.micro_batch"
  int64_t allowance_bytes = -1;  // negative: DefaultAllowance(bytes)
  // Shares of the budget at which Check() says so once; from the second one on it also gives malloc's free pages back,
  // which are kept for reuse otherwise. 1 or more: never.
  double warning_share = 1.0;
  double critical_share = 1.0;
  bool limit_data = true;  // with DataLimit as the backstop

  // Facts from elsewhere; any of them may be empty. They must not allocate tensors.
  std::function<absl::StatusOr<int64_t>()> resident_bytes;  // RssAnon + RssFile; empty: ReadProcessMemory's
  std::function<int64_t()> own_window_bytes;                // resident pages of this rank's shared windows
  std::function<std::string()> instruction;                 // what is being done: "backward layer3"
  std::function<std::string()> largest_holders;             // "weights 40 MiB, gradients 40 MiB"
};

class Budget final : public ShortageHandler {
 public:
  // Sets the pool's limit. ResourceExhausted: what the process holds by now leaves nothing.
  static absl::StatusOr<std::unique_ptr<Budget>> Create(Pool* pool, Ledger* ledger, BudgetOptions options);
  // The pool has no limit again.
  ~Budget() override;

  // What is kept free for growth outside the pool: 8 MiB and 1/64 of the budget. The kernel counts pages in batches
  // (256 KiB and more per core), a huge page fills up to 2 MiB, page tables take 1/512 of what they map, and an error
  // on its way up reads code that was never read before.
  static int64_t DefaultAllowance(int64_t budget_bytes) { return (int64_t{8} << 20) + budget_bytes / 64; }

  // `reclaim(bytes)` gives up what it can spare and returns how many bytes that were; called in the order of
  // registration, without locks of the pool, until `bytes` are there. It must not allocate tensors, nor call this
  // object.
  void AddReclaim(std::string name, std::function<int64_t(int64_t bytes)> reclaim);

  // All that MakeRoom would give back before it refuses, at once: idle pages of the pool, what the caches can spare,
  // malloc's free pages. Nothing to the contents of anything.
  void GiveBackIdle();

  bool MakeRoom(int64_t bytes) override;
  std::string Explain(int64_t bytes, Category category) override;

  // Measures anew, every few steps. Returns a line to say, or nothing: a threshold was crossed for the first time.
  // ResourceExhausted: the process holds more than the budget, and giving back what is idle did not help.
  absl::StatusOr<std::string> Check();

  int64_t bytes() const { return options_.bytes; }
  // The pool's limit now, and how far it can be opened by what was measured last.
  int64_t pool_limit() const;
  int64_t pool_limit_at_most() const;

 private:
  struct Measured {
    int64_t held = 0;     // what is bound, in all
    int64_t outside = 0;  // of it, not in the pool
    PoolStatistics pool;
    // May be negative.
    int64_t most_pool = 0;  // budget - outside - allowance
  };

  Budget(Pool* pool, Ledger* ledger, BudgetOptions options);

  absl::StatusOr<Measured> Measure() const;
  // Sets the window's end. True: the limit rose.
  bool OpenWindow(const Measured& measured, int64_t wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether something changed by it, so that asking again makes sense.
  bool Reclaim(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string HeldText(const Measured& measured) const;

  Pool* const pool_;
  Ledger* const ledger_;
  const BudgetOptions options_;
  const int64_t allowance_;

  mutable std::mutex mu_;                   // std: the thread sanitizer does not see the locks of a shared abseil
  Measured measured_ ABSL_GUARDED_BY(mu_);  // last
  int64_t limit_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::pair<std::string, std::function<int64_t(int64_t)>>> reclaims_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<DataLimit> data_limit_ ABSL_GUARDED_BY(mu_);
  bool said_warning_ ABSL_GUARDED_BY(mu_) = false;
  bool said_critical_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_BUDGET_H_
