#include "memory/ledger.h"

#include "base/check.h"

namespace stowage {

// Relaxed throughout: the counters publish no other data, and each one's modifications have one order. A free comes
// after its allocation in that order, because the pointer was handed over in between.

void Ledger::Counter::Add(int64_t bytes) {
  const int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t mark = peak.load(std::memory_order_relaxed);
  while (now > mark && !peak.compare_exchange_weak(mark, now, std::memory_order_relaxed)) {
  }
}

void Ledger::Counter::Subtract(int64_t bytes) {
  const int64_t before = live.fetch_sub(bytes, std::memory_order_relaxed);
  STOWAGE_CHECK(before >= bytes) << "freed " << bytes << " bytes of " << before << " live ones";
}

void Ledger::Allocate(Category category, int64_t bytes) {
  STOWAGE_CHECK(bytes >= 0) << bytes;
  counters_[static_cast<int>(category)].Add(bytes);
  total_.Add(bytes);
}

void Ledger::Free(Category category, int64_t bytes) {
  STOWAGE_CHECK(bytes >= 0) << bytes;
  counters_[static_cast<int>(category)].Subtract(bytes);
  total_.Subtract(bytes);
}

void Ledger::ResetPeaks() {
  const auto reset = [](Counter& counter) {
    counter.peak.store(counter.live.load(std::memory_order_relaxed), std::memory_order_relaxed);
  };
  for (Counter& counter : counters_) reset(counter);
  reset(total_);
}

LedgerSnapshot Ledger::Snapshot() const {
  LedgerSnapshot snapshot;
  for (int c = 0; c < kCategories; ++c) {
    const Category category = static_cast<Category>(c);
    snapshot.categories[c] = {live(category), peak(category)};
  }
  snapshot.total = {total_live(), total_peak()};
  return snapshot;
}

}  // namespace stowage
