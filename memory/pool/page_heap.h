// Runs of whole pages in one address range: best fit, split and merged, given back to the system when there are too
// many idle ones.
//
// A request takes the smallest free run that holds it, the lowest of equals, and the last run of all only if no other
// holds it; what is left over stays free; a freed run merges with free neighbours at once. So the sizes of a training
// step, which come back every step, find the runs they had, and nothing is ever moved.
//
// What it takes of a larger free run is the start, or the end if it is very short (spans of small blocks) or long, but
// not the longest of all: short-lived runs of one kind then lie together and merge when they are freed. A step of GPT-2
// 124M in fp32 is held in 1.015 times what is live and in bf16, replayed with 2 % of slack, gives back and takes again
// 76 MB a step; without this 1.038 times and 136 MB, and 282 MB if the longest are cut from the end too.
//
// Runs below kLargePages lie on a side of their own: one of them in a hole that a large block has left would make the
// next large one find none. Without that a convolutional network's step reached over 1.13 times what was live, now
// below 1.05. A side that is full takes from the other.
//
// Bounded slack: idle pages stay for the next step, but what is resident never grows beyond the most that was used at
// once by more than `slack`. Where growth would do that, idle pages elsewhere are given back first, which costs page
// faults when the pattern of requests has changed, or is one that no holes fit (bf16 copies and fp32 gradients in
// turn). The most that was used counts since the last Trim.
//
//   used      pages of runs that were handed out
//   resident  pages that were handed out at least once since they were last given back: what RSS may hold
//   idle      resident - used
//
// Book-keeping lies outside the pages. Not thread-safe: the pool has the lock.
#ifndef STOWAGE_MEMORY_POOL_PAGE_HEAP_H_
#define STOWAGE_MEMORY_POOL_PAGE_HEAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "memory/pool/address_range.h"

namespace stowage {

class PageHeap {
 public:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kLargePages = 128;  // 512 KiB: replayed steps reached least far with 256 to 768

  // Runs shorter than the first, and from the second up to the third, are cut from the end of a larger free run: 40
  // KiB, above the spans of small blocks; 16 MiB, above a layer's copies in bf16 and below its gradients; 128 MiB,
  // below the gradients of a vocabulary's matrix. On replayed steps of GPT-2 124M 14 to 27 and 77 to 147 MiB are the
  // same.
  static constexpr int64_t kFewPages = 10;
  static constexpr int64_t kHugeRunPages = 4096;
  static constexpr int64_t kVastRunPages = 32768;

  struct Options {
    int64_t limit_pages = kNoLimit;      // resident pages never exceed it
    int64_t most_idle_pages = kNoLimit;  // nor idle ones this, after any call
    // Resident pages beyond the most used: this share of them, and at least so many. With 1.5 % a step of GPT-2 124M
    // gives nothing back in fp32 and 116 MB in bf16 (76 with 2 %, and 10 MB more held): 0.06 ms a MB with huge pages.
    double slack_share = 0.015;
    int64_t slack_pages = 2048;  // 8 MiB: small models do not pay page faults for a bound that they cannot feel
  };

  struct Statistics {
    int64_t used_pages = 0;
    int64_t resident_pages = 0;
    int64_t free_runs = 0;  // between used ones, whether resident or not
    int64_t free_pages = 0;
    int64_t largest_free_pages = 0;
    int64_t discarded_pages = 0;  // in all, since the start
    int64_t fresh_pages = 0;      // handed out while not resident, since the start: page faults to come
    int64_t discards = 0;         // how often pages were given back
    int64_t choosing_ns = 0;      // of the time that took: choosing them and keeping the books,
    int64_t system_ns = 0;        // and the system's part
  };

  PageHeap(std::unique_ptr<AddressRange> range, const Options& options);

  // A run of `pages` >= 1; null if the limit or the system has no room. Contents: anything.
  char* Allocate(int64_t pages);
  // A run of Allocate, with its size.
  void Free(char* run, int64_t pages);

  // Gives idle pages back until at most `keep_pages` are left; returns how many went. From now on the slack is that of
  // what is used now.
  int64_t Trim(int64_t keep_pages);

  // Does not take from what is there: the next growth feels it.
  void set_limit_pages(int64_t pages) { options_.limit_pages = pages; }
  int64_t limit_pages() const { return options_.limit_pages; }
  // Takes effect at once.
  void set_most_idle_pages(int64_t pages);
  int64_t most_idle_pages() const { return options_.most_idle_pages; }

  Statistics GetStatistics() const;
  int64_t used_pages() const { return statistics_.used_pages; }
  int64_t resident_pages() const { return statistics_.resident_pages; }
  // Pages that were ever part of a run, as (first, last): nothing else was touched.
  std::array<std::pair<int64_t, int64_t>, 2> frontiers() const {
    return {{{sides_[0].first, sides_[0].frontier}, {sides_[1].first, sides_[1].frontier}}};
  }
  int64_t fresh_pages() const { return statistics_.fresh_pages; }
  bool Contains(const void* p) const { return p >= range_->base() && p < range_->base() + range_->bytes(); }
  int64_t PageOf(const void* p) const {
    return (static_cast<const char*>(p) - range_->base()) / static_cast<int64_t>(AddressRange::kPageBytes);
  }

 private:
  // Runs by first page. Used ones are in no container: their neighbours are found through free_. B-trees: a step frees
  // and takes hundreds of large blocks, and a node of a std::map for each would cost more than the search.
  using FreeRuns = absl::btree_map<int64_t, int64_t>;  // first page -> pages

  using BySize = absl::btree_set<std::pair<int64_t, int64_t>>;  // (pages, first page)

  // One of the two parts of the range, by pages. Runs do not cross from one to the other.
  struct Side {
    int64_t first = 0, end = 0;
    int64_t frontier = 0;  // from here on nothing was ever part of a run
    int64_t usable = 0;    // the system lets us write up to here
    BySize by_size;
    std::vector<uint64_t> resident;  // one bit a page, up to the frontier
  };
  static constexpr int kLarge = 0, kRest = 1;

  Side& SideOf(int64_t page) { return sides_[page >= sides_[kRest].first ? kRest : kLarge]; }
  char* AllocateOn(Side& side, int64_t pages);
  void AddFree(int64_t page, int64_t pages);
  void RemoveFree(FreeRuns::iterator run);
  // Resident pages of [page, page + pages).
  static int64_t CountResident(const Side& side, int64_t page, int64_t pages);
  static void SetResident(Side& side, int64_t page, int64_t pages, bool resident);
  // Gives idle pages of free runs back, largest runs first and never those of [but, but + but_pages).
  int64_t DiscardIdle(int64_t wanted, int64_t but, int64_t but_pages);
  // What DiscardIdle gives back, as (first, last) pages, already out of the books; adds to `gone`.
  std::vector<std::pair<int64_t, int64_t>> ChooseIdle(int64_t wanted, int64_t but, int64_t but_pages, int64_t* gone);
  // Makes room for `fresh` pages to become resident, for a run at [page, page + pages).
  bool MakeRoom(int64_t fresh, int64_t page, int64_t pages);

  std::unique_ptr<AddressRange> range_;
  Options options_;
  FreeRuns free_;
  std::array<Side, 2> sides_;
  int64_t most_used_ = 0;  // since the last Trim
  Statistics statistics_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_PAGE_HEAP_H_
