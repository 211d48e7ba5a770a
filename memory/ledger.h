// The books: how many bytes are held, and were held at most, per category and in all.
//
// Counts what it is told, in bytes as asked for (headers, alignment and malloc's own rounding are no tensor bytes). It
// gives out no memory and refuses none.
//
// Thread-safe and without locks. Each counter is exact; a snapshot taken while others allocate may show one counter
// before and another after the same allocation. A peak is never below a value that its live counter had.
#ifndef STOWAGE_MEMORY_LEDGER_H_
#define STOWAGE_MEMORY_LEDGER_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "memory/category.h"

namespace stowage {

// Bytes.
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
  void Allocate(Category category, int64_t bytes);
  void Free(Category category, int64_t bytes);

  // Bytes held now, and the high-water mark since the start or the last ResetPeaks().
  int64_t live(Category category) const { return Get(category).live.load(std::memory_order_relaxed); }
  int64_t peak(Category category) const { return Get(category).peak.load(std::memory_order_relaxed); }
  int64_t total_live() const { return total_.live.load(std::memory_order_relaxed); }
  int64_t total_peak() const { return total_.peak.load(std::memory_order_relaxed); }

  // Every high-water mark becomes what is live now. An allocation on another thread meanwhile may miss its mark.
  void ResetPeaks();

  LedgerSnapshot Snapshot() const;

 private:
  // A cache line each, so that threads working in different categories do not wait for each other.
  struct alignas(64) Counter {
    void Add(int64_t bytes);
    void Subtract(int64_t bytes);
    std::atomic<int64_t> live{0};
    std::atomic<int64_t> peak{0};
  };

  const Counter& Get(Category category) const { return counters_[static_cast<int>(category)]; }

  std::array<Counter, kCategories> counters_;
  Counter total_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_LEDGER_H_
