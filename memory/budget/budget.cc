#include "memory/budget/budget.h"

#include <malloc.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "memory/process_memory.h"

namespace stowage {
namespace {

// How far the pool may grow until the outside is measured again. Measuring costs some 0.1 ms and 1 ms a GiB; the kernel
// takes ten times as long to clear a window's pages.
constexpr int64_t kWindowBytes = int64_t{64} << 20;
constexpr int64_t kLeastWindowBytes = int64_t{2} << 20;
// The pool makes a whole huge page usable at a time.
constexpr int64_t kHugePageBytes = int64_t{2} << 20;
constexpr int64_t kPageBytes = static_cast<int64_t>(AddressRange::kPageBytes);

int64_t WholePages(int64_t bytes) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() - kPageBytes;
  return (std::min(bytes, kMost) + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// A sum of sizes that stays in range.
int64_t Plus(int64_t a, int64_t b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return a > kMost - b ? kMost : a + b;
}

std::string Percent(double share) { return absl::StrFormat("%.0f %%", 100.0 * share); }

}  // namespace

Budget::Budget(Pool* pool, Ledger* ledger, BudgetOptions options)
    : pool_(pool),
      ledger_(ledger),
      options_(std::move(options)),
      allowance_(options_.allowance_bytes >= 0 ? options_.allowance_bytes : DefaultAllowance(options_.bytes)) {}

absl::StatusOr<std::unique_ptr<Budget>> Budget::Create(Pool* pool, Ledger* ledger, BudgetOptions options) {
  STOWAGE_CHECK(pool != nullptr && ledger != nullptr && options.bytes > 0) << options.bytes;
  std::unique_ptr<Budget> budget(new Budget(pool, ledger, std::move(options)));
  STOWAGE_ASSIGN_OR_RETURN(const Measured measured, budget->Measure());
  if (measured.most_pool <= measured.pool.live) {
    return absl::ResourceExhaustedError(absl::StrCat(
        budget->options_.source, " is less than the process holds before it begins: ", budget->HeldText(measured),
        "; give it more than ", HumanByteSize(measured.outside + measured.pool.live + budget->allowance_)));
  }
  const std::lock_guard<std::mutex> lock(budget->mu_);
  budget->measured_ = measured;
  if (budget->options_.limit_data) budget->data_limit_ = std::make_unique<DataLimit>();
  budget->OpenWindow(measured, measured.pool.live);
  if (budget->data_limit_ != nullptr) budget->data_limit_->Set(budget->options_.bytes - measured.held, 0);
  return budget;
}

Budget::~Budget() { pool_->SetLimit(PageHeap::kNoLimit); }

void Budget::AddReclaim(std::string name, std::function<int64_t(int64_t bytes)> reclaim) {
  const std::lock_guard<std::mutex> lock(mu_);
  reclaims_.emplace_back(std::move(name), std::move(reclaim));
}

int64_t Budget::pool_limit() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return limit_;
}

int64_t Budget::pool_limit_at_most() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return std::max<int64_t>(0, measured_.most_pool);
}

absl::StatusOr<Budget::Measured> Budget::Measure() const {
  // Other threads write to the pool meanwhile: of what it holds before and after, the less is taken off, so that their
  // pages count as outside rather than as nothing.
  const int64_t touched_before = pool_->TouchedBytes();
  int64_t resident = 0;
  if (options_.resident_bytes) {
    STOWAGE_ASSIGN_OR_RETURN(resident, options_.resident_bytes());
  } else {
    STOWAGE_ASSIGN_OR_RETURN(const ProcessMemory memory, ReadProcessMemory());
    resident = memory.rss_anon + memory.rss_file;
  }
  Measured measured;
  measured.pool = pool_->Statistics();
  const int64_t touched = std::min(touched_before, pool_->TouchedBytes());
  measured.held = resident + (options_.own_window_bytes ? options_.own_window_bytes() : 0);
  // Where huge pages filled more than the pool handed out, that is growth which no limit of the pool sees.
  measured.outside = std::max<int64_t>(0, measured.held - std::min(touched, measured.pool.resident));
  measured.most_pool = options_.bytes - measured.outside - allowance_;
  return measured;
}

bool Budget::OpenWindow(const Measured& measured, int64_t wanted) {
  const int64_t most = std::max<int64_t>(0, measured.most_pool);
  const int64_t from = std::max(measured.pool.resident, wanted);
  const int64_t window = std::clamp((most - from) / 2, kLeastWindowBytes, kWindowBytes);
  const int64_t next = std::min(most, Plus(from, window));
  const bool rose = next > limit_;
  limit_ = next;
  pool_->SetLimit(next);
  return rose;
}

bool Budget::Reclaim(int64_t bytes) {
  const auto fits = [&](const Measured& m) { return Plus(m.pool.live, bytes) <= m.most_pool; };
  // Whatever was given up, the question is whether the request fits now.
  const auto enough = [&](int64_t given_up) {
    const absl::StatusOr<Measured> now = Measure();
    if (!now.ok()) return false;
    measured_ = *now;
    if (data_limit_ != nullptr) data_limit_->Set(options_.bytes - now->held, Plus(bytes, kHugePageBytes));
    if (!fits(*now)) return false;
    return OpenWindow(*now, Plus(now->pool.live, bytes)) || given_up > 0;
  };
  if (enough(pool_->Trim())) return true;
  for (const auto& [name, reclaim] : reclaims_) {
    const int64_t missing = Plus(measured_.pool.live, bytes) - measured_.most_pool;
    // What a cache gives up goes to the pool's free pages first.
    if (enough(reclaim(std::max<int64_t>(missing, 1)) + pool_->Trim())) return true;
  }
  return enough(malloc_trim(0));
}

void Budget::GiveBackIdle() {
  const std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [name, reclaim] : reclaims_) reclaim(std::numeric_limits<int64_t>::max());
  pool_->Trim();
  malloc_trim(0);
  const absl::StatusOr<Measured> measured = Measure();
  if (!measured.ok()) return;
  measured_ = *measured;
  OpenWindow(*measured, measured->pool.live);
  if (data_limit_ != nullptr) data_limit_->Set(options_.bytes - measured->held, 0);
}

bool Budget::MakeRoom(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mu_);
  const absl::StatusOr<Measured> measured = Measure();
  if (!measured.ok()) return false;
  measured_ = *measured;
  const int64_t pages = WholePages(bytes);
  const int64_t wanted = Plus(measured->pool.live, pages);
  bool changed = false;
  if (data_limit_ != nullptr) {
    changed = data_limit_->Set(options_.bytes - measured->held, Plus(pages, kHugePageBytes));
  }
  if (wanted <= measured->most_pool) changed = OpenWindow(*measured, wanted) || changed;
  return changed || Reclaim(pages);
}

std::string Budget::HeldText(const Measured& measured) const {
  return absl::StrCat("outside of tensors the process holds ", HumanByteSize(measured.outside), ", ",
                      HumanByteSize(allowance_), " are kept free for its growth, and tensors hold ",
                      HumanByteSize(ledger_->total_live()));
}

std::string Budget::Explain(int64_t bytes, Category category) {
  Measured measured;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    measured = measured_;
  }
  // One line; the numbers first, since a report of several ranks cuts it at its end.
  const std::string instruction = options_.instruction ? options_.instruction() : "";
  std::string text =
      absl::StrCat(options_.source, " has no room for ", HumanByteSize(bytes), " of ", CategoryName(category),
                   instruction.empty() ? "" : absl::StrCat(" (", instruction, ")"), ": ", HeldText(measured));
  const int64_t needed = Plus(measured.outside + allowance_ + measured.pool.live, WholePages(bytes));
  const std::string holders = options_.largest_holders ? options_.largest_holders() : "";
  const LedgerSnapshot snapshot = ledger_->Snapshot();
  std::string by_category;
  for (int c = 0; c < kCategories; ++c) {
    const int64_t live = snapshot.categories[c].live;
    if (live == 0) continue;
    absl::StrAppend(&by_category, by_category.empty() ? "" : ", ", CategoryName(static_cast<Category>(c)), " ",
                    HumanByteSize(live));
  }
  if (!by_category.empty()) absl::StrAppend(&text, " (", by_category, ")");
  if (needed > options_.bytes) {
    absl::StrAppend(&text, "; with this request it would be ", HumanByteSize(needed));
  } else {
    absl::StrAppend(&text, "; the budget would allow it, but the system gives no more (ulimit -v, ulimit -d)");
  }
  if (!options_.advice.empty()) absl::StrAppend(&text, "; ", options_.advice);
  if (!holders.empty()) absl::StrAppend(&text, "; the largest: ", holders);
  return text;
}

absl::StatusOr<std::string> Budget::Check() {
  const std::lock_guard<std::mutex> lock(mu_);
  STOWAGE_ASSIGN_OR_RETURN(Measured measured, Measure());
  const auto share = [&] {
    return static_cast<double>(measured.outside + measured.pool.peak_resident) / static_cast<double>(options_.bytes);
  };
  const double used = share();
  const bool critical = options_.critical_share < 1.0 && used >= options_.critical_share;
  // Above the limit the pool's idle pages are the first to go: the outside has grown into their place.
  const bool over = measured.pool.resident > measured.most_pool;
  if (over) pool_->Trim(std::max<int64_t>(0, measured.most_pool - measured.pool.live));
  if (critical || measured.held > options_.bytes) malloc_trim(0);
  if (critical || over) {
    STOWAGE_ASSIGN_OR_RETURN(measured, Measure());
  }
  measured_ = measured;
  OpenWindow(measured, measured.pool.live);
  if (data_limit_ != nullptr) data_limit_->Set(options_.bytes - measured.held, 0);
  if (measured.held > options_.bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.source, " is exceeded by ", HumanByteSize(measured.held - options_.bytes), ": ",
                     HeldText(measured), options_.advice.empty() ? "" : "; ", options_.advice));
  }
  const auto line = [&](const char* what, double at) {
    return absl::StrCat("memory ", what, ": the peak is at ", Percent(used), " of ", options_.source, " (threshold ",
                        Percent(at), "); ", HeldText(measured));
  };
  if (critical && !said_critical_) {
    said_critical_ = said_warning_ = true;
    return absl::StrCat(line("critical", options_.critical_share), "; malloc's free pages go back from now on");
  }
  if (used >= options_.warning_share && options_.warning_share < 1.0 && !said_warning_) {
    said_warning_ = true;
    return line("warning", options_.warning_share);
  }
  return std::string();
}

}  // namespace stowage
