#include "memory/ledger.h"

#include "base/check.h"

namespace stowage {

// The counters publish no other data, and each one's modifications have one order: a free comes after its allocation in
// that order, because the pointer was handed over in between. Only Add and Take need an order between two variables,
// `live` and `peak`: Add writes live and then reads peak, Take writes peak and then reads live, so with both in the one
// total order either Add sees the peak that was reset, and raises it, or Take sees the bytes that were added. (On x86 a
// read-modify-write has that order anyway, and such a load is a plain one.)

void Ledger::Counter::Add(int64_t bytes) {
  const int64_t now = live.fetch_add(bytes, std::memory_order_seq_cst) + bytes;
  int64_t mark = peak.load(std::memory_order_seq_cst);
  while (now > mark && !peak.compare_exchange_weak(mark, now, std::memory_order_seq_cst)) {
  }
}

void Ledger::Counter::Subtract(int64_t bytes) {
  const int64_t before = live.fetch_sub(bytes, std::memory_order_relaxed);
  STOWAGE_CHECK(before >= bytes) << "freed " << bytes << " bytes of " << before << " live ones";
}

LedgerSnapshot::Entry Ledger::Counter::Take() {
  const int64_t start = live.load(std::memory_order_relaxed);
  const int64_t taken = peak.exchange(start, std::memory_order_seq_cst);
  const int64_t now = live.load(std::memory_order_seq_cst);
  int64_t mark = start;
  while (now > mark && !peak.compare_exchange_weak(mark, now, std::memory_order_seq_cst)) {
  }
  return {now, taken};
}

void Ledger::Allocate(Category category, int64_t bytes, Place place) {
  STOWAGE_CHECK(bytes >= 0) << bytes;
  Counters& counters = places_[static_cast<int>(place)];
  if (!counters.used.load(std::memory_order_relaxed)) counters.used.store(true, std::memory_order_relaxed);
  counters.categories[static_cast<int>(category)].Add(bytes);
  counters.total.Add(bytes);
}

void Ledger::Free(Category category, int64_t bytes, Place place) {
  STOWAGE_CHECK(bytes >= 0) << bytes;
  Counters& counters = places_[static_cast<int>(place)];
  counters.categories[static_cast<int>(category)].Subtract(bytes);
  counters.total.Subtract(bytes);
}

void Ledger::ResetPeaks() {
  for (int p = 0; p < kPlaces; ++p) TakePeaks(static_cast<Place>(p));
}

LedgerSnapshot Ledger::TakePeaks(Place place) {
  Counters& counters = places_[static_cast<int>(place)];
  LedgerSnapshot taken;
  for (int c = 0; c < kCategories; ++c) taken.categories[c] = counters.categories[c].Take();
  taken.total = counters.total.Take();
  return taken;
}

LedgerSnapshot Ledger::Snapshot(Place place) const {
  LedgerSnapshot snapshot;
  for (int c = 0; c < kCategories; ++c) {
    const Category category = static_cast<Category>(c);
    snapshot.categories[c] = {live(category, place), peak(category, place)};
  }
  snapshot.total = {total_live(place), total_peak(place)};
  return snapshot;
}

}  // namespace stowage
