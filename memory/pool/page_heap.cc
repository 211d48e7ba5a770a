#include "memory/pool/page_heap.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace stowage {
namespace {

constexpr int64_t kPageBytes = static_cast<int64_t>(AddressRange::kPageBytes);

// Calls `word(index, mask)` for every word that holds bits of [first, first + count).
template <typename F>
void ForEachWord(int64_t first, int64_t count, const F& word) {
  for (int64_t bit = first; bit < first + count;) {
    const int64_t low = bit % 64;
    const int64_t bits = std::min<int64_t>(64 - low, first + count - bit);
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : ((uint64_t{1} << bits) - 1) << low;
    word(bit / 64, mask);
    bit += bits;
  }
}

}  // namespace

PageHeap::PageHeap(std::unique_ptr<AddressRange> range, const Options& options)
    : range_(std::move(range)), options_(options) {}

void PageHeap::AddFree(int64_t page, int64_t pages) {
  free_.emplace(page, pages);
  by_size_.emplace(pages, page);
  statistics_.free_pages += pages;
}

void PageHeap::RemoveFree(FreeRuns::iterator run) {
  by_size_.erase({run->second, run->first});
  statistics_.free_pages -= run->second;
  free_.erase(run);
}

int64_t PageHeap::CountResident(int64_t page, int64_t pages) const {
  int64_t count = 0;
  ForEachWord(page, pages, [&](int64_t i, uint64_t mask) { count += __builtin_popcountll(resident_[i] & mask); });
  return count;
}

void PageHeap::SetResident(int64_t page, int64_t pages, bool resident) {
  ForEachWord(page, pages, [&](int64_t i, uint64_t mask) {
    resident_[i] = resident ? resident_[i] | mask : resident_[i] & ~mask;
  });
}

std::vector<std::pair<int64_t, int64_t>> PageHeap::ChooseIdle(int64_t wanted, int64_t but, int64_t but_pages,
                                                               int64_t* gone) {
  std::vector<std::pair<int64_t, int64_t>> chosen;
  for (auto run = by_size_.rbegin(); run != by_size_.rend() && *gone < wanted; ++run) {
    const int64_t page = run->second, end = run->second + run->first;
    // The part before and the part behind what must stay.
    for (const auto& [first, last] : {std::pair<int64_t, int64_t>{page, std::min(end, but)},
                                      std::pair<int64_t, int64_t>{std::max(page, but + but_pages), end}}) {
      // From the run's end, in steps: no more page faults later than the bound asks for.
      constexpr int64_t kStep = 512;  // a huge page
      for (int64_t to = last; to > first && *gone < wanted;) {
        const int64_t from = std::max(first, (to - 1) / kStep * kStep);
        const int64_t resident = CountResident(from, to - from);
        if (resident > 0) {
          if (!chosen.empty() && chosen.back().first == to) {
            chosen.back().first = from;  // one call of the system for both
          } else {
            chosen.emplace_back(from, to);
          }
          SetResident(from, to - from, false);
          *gone += resident;
        }
        to = from;
      }
    }
  }
  return chosen;
}

int64_t PageHeap::DiscardIdle(int64_t wanted, int64_t but, int64_t but_pages) {
  const auto start = std::chrono::steady_clock::now();
  int64_t gone = 0;
  const std::vector<std::pair<int64_t, int64_t>> chosen = ChooseIdle(wanted, but, but_pages, &gone);
  const auto between = std::chrono::steady_clock::now();
  for (const auto& [from, to] : chosen) range_->Discard(from * kPageBytes, (to - from) * kPageBytes);
  const auto end = std::chrono::steady_clock::now();
  statistics_.resident_pages -= gone;
  statistics_.discarded_pages += gone;
  ++statistics_.discards;
  statistics_.choosing_ns += std::chrono::nanoseconds(between - start).count();
  statistics_.system_ns += std::chrono::nanoseconds(end - between).count();
  return gone;
}

bool PageHeap::MakeRoom(int64_t fresh, int64_t page, int64_t pages) {
  if (fresh == 0) return true;
  const int64_t used_then = statistics_.used_pages + pages;
  const int64_t slack = std::max(options_.slack_pages,
                                 static_cast<int64_t>(options_.slack_share * static_cast<double>(used_then)));
  const int64_t most = std::min(options_.limit_pages, used_then > kNoLimit - slack ? kNoLimit : used_then + slack);
  const int64_t over = statistics_.resident_pages + fresh - most;
  if (over > 0) DiscardIdle(over, page, pages);
  return statistics_.resident_pages + fresh <= options_.limit_pages;
}

char* PageHeap::Allocate(int64_t pages) {
  STOWAGE_CHECK(pages >= 1) << pages;
  if (pages > static_cast<int64_t>(range_->bytes()) / kPageBytes) return nullptr;
  const auto fit = by_size_.lower_bound({pages, 0});
  int64_t page, from_free = 0;  // where, and how many of its pages a free run gives
  FreeRuns::iterator run = free_.end();
  if (fit != by_size_.end()) {
    page = fit->second;
    run = free_.find(page);
    from_free = pages;
  } else {
    // At the frontier, together with what is free right before it.
    page = frontier_;
    if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == frontier_) {
      run = std::prev(free_.end());
      page = run->first;
      from_free = run->second;
    }
  }
  const int64_t end = page + pages;
  if (!range_->MakeUsable(static_cast<size_t>(end) * kPageBytes)) return nullptr;
  if (static_cast<int64_t>(resident_.size()) * 64 < end) resident_.resize((end + 63) / 64, 0);
  const int64_t fresh = pages - CountResident(page, from_free);
  if (!MakeRoom(fresh, page, pages)) return nullptr;

  if (run != free_.end()) {
    const int64_t left = run->second - from_free;
    RemoveFree(run);
    if (left > 0) AddFree(end, left);
  }
  frontier_ = std::max(frontier_, end);
  SetResident(page, pages, true);
  statistics_.resident_pages += fresh;
  statistics_.fresh_pages += fresh;
  statistics_.used_pages += pages;
  return range_->base() + page * kPageBytes;
}

void PageHeap::Free(char* run, int64_t pages) {
  int64_t page = PageOf(run);
  STOWAGE_CHECK(Contains(run) && page + pages <= frontier_ && pages >= 1) << page << " + " << pages;
  auto after = free_.lower_bound(page);
  STOWAGE_CHECK(after == free_.end() || after->first >= page + pages) << "freed twice: page " << page;
  const bool joins_after = after != free_.end() && after->first == page + pages;
  auto before = after == free_.begin() ? free_.end() : std::prev(after);
  STOWAGE_CHECK(before == free_.end() || before->first + before->second <= page) << "freed twice: page " << page;
  const bool joins_before = before != free_.end() && before->first + before->second == page;
  statistics_.used_pages -= pages;
  statistics_.free_pages += pages;
  // One of the neighbours grows in place: a step's blocks mostly come back next to free ones.
  if (joins_before) {
    by_size_.erase({before->second, before->first});
    before->second += pages;
    if (joins_after) {
      before->second += after->second;
      by_size_.erase({after->second, after->first});
    }
    by_size_.emplace(before->second, before->first);
    if (joins_after) free_.erase(after);  // last: it moves the others
  } else {
    if (joins_after) {
      pages += after->second;
      by_size_.erase({after->second, after->first});
      free_.erase(after);
    }
    free_.emplace(page, pages);
    by_size_.emplace(pages, page);
  }
  const int64_t idle = statistics_.resident_pages - statistics_.used_pages;
  if (idle > options_.most_idle_pages) DiscardIdle(idle - options_.most_idle_pages, 0, 0);
}

void PageHeap::set_most_idle_pages(int64_t pages) {
  options_.most_idle_pages = pages;
  Trim(pages);
}

int64_t PageHeap::Trim(int64_t keep_pages) {
  const int64_t idle = statistics_.resident_pages - statistics_.used_pages;
  return idle > keep_pages ? DiscardIdle(idle - keep_pages, 0, 0) : 0;
}

PageHeap::Statistics PageHeap::GetStatistics() const {
  Statistics statistics = statistics_;
  statistics.free_runs = static_cast<int64_t>(free_.size());
  statistics.largest_free_pages = by_size_.empty() ? 0 : by_size_.rbegin()->first;
  return statistics;
}

}  // namespace stowage
