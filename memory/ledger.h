// The books: how many bytes are held, and were held at most, per category and place, and in all of a place.
//
// Counts what it is told, in bytes as asked for (headers, alignment and malloc's own rounding are no tensor bytes). It
// gives out no memory and refuses none. A sum over places would mean nothing (each has a bound of its own), so there is
// none. Where no place is named, it is the host.
//
// Thread-safe and without locks. Each counter is exact; a snapshot taken while others allocate may show one counter
// before and another after the same allocation. A peak is never below a value that its live counter had since the peak
// was last taken.
#ifndef STOWAGE_MEMORY_LEDGER_H_
#define STOWAGE_MEMORY_LEDGER_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "memory/category.h"
#include "memory/place.h"

namespace stowage {

// Bytes, of one place.
struct LedgerSnapshot {
  struct Entry {
    int64_t live = 0;
    int64_t peak = 0;
  };
  std::array<Entry, kCategories> categories;  // by Category
  Entry total;                                // its peak is of the sum, not the sum of the peaks

  const Entry& operator[](Category category) const { return categories[static_cast<int>(category)]; }
};

class Ledger {
 public:
  Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Enters `bytes` >= 0, or takes them out again. Freeing more than is live is a bug and aborts.
  void Allocate(Category category, int64_t bytes, Place place = Place::kHost);
  void Free(Category category, int64_t bytes, Place place = Place::kHost);

  // Bytes held now, and the high-water mark since the start or since peaks were last reset or taken.
  int64_t live(Category category, Place place = Place::kHost) const { return Load(Of(place, category).live); }
  int64_t peak(Category category, Place place = Place::kHost) const { return Load(Of(place, category).peak); }
  int64_t total_live(Place place = Place::kHost) const { return Load(Of(place).total.live); }
  int64_t total_peak(Place place = Place::kHost) const { return Load(Of(place).total.peak); }

  // Whether anything was ever entered there: reports leave out places that are not used.
  bool used(Place place) const { return Of(place).used.load(std::memory_order_relaxed); }

  // Every high-water mark becomes what is live now. Whoever keeps a LedgerMarks of this ledger leaves that to it.
  void ResetPeaks();
  // The same for one place, and returns what was there. An allocation on another thread meanwhile is in the peaks
  // returned or in the next ones, never in none; a mark may then start from what was live just before.
  LedgerSnapshot TakePeaks(Place place);

  LedgerSnapshot Snapshot(Place place = Place::kHost) const;

 private:
  // A cache line each, so that threads working in different categories do not wait for each other.
  struct alignas(64) Counter {
    void Add(int64_t bytes);
    void Subtract(int64_t bytes);
    LedgerSnapshot::Entry Take();
    std::atomic<int64_t> live{0};
    std::atomic<int64_t> peak{0};
  };
  struct Counters {
    std::array<Counter, kCategories> categories;
    Counter total;
    std::atomic<bool> used{false};
  };

  static int64_t Load(const std::atomic<int64_t>& counter) { return counter.load(std::memory_order_relaxed); }
  const Counters& Of(Place place) const { return places_[static_cast<int>(place)]; }
  const Counter& Of(Place place, Category category) const { return Of(place).categories[static_cast<int>(category)]; }

  std::array<Counters, kPlaces> places_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_LEDGER_H_
