#include "memory/pool/page_heap.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace stowage {
namespace {

constexpr int64_t kPageBytes = static_cast<int64_t>(AddressRange::kPageBytes);
constexpr int64_t kHugePages = 512;  // small pages of a huge one

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
    : range_(std::move(range)), options_(options) {
  // An eighth for what is not large: addresses are plenty, and where they are not, either side takes from the other.
  const int64_t pages = static_cast<int64_t>(range_->bytes()) / kPageBytes;
  const int64_t rest = (pages - pages / 8) / kHugePages * kHugePages;
  sides_[kLarge].end = rest;
  sides_[kRest].first = sides_[kRest].frontier = sides_[kRest].usable = rest;
  sides_[kRest].end = pages;
}

void PageHeap::AddFree(int64_t page, int64_t pages) {
  free_.emplace(page, pages);
  SideOf(page).by_size.emplace(pages, page);
  statistics_.free_pages += pages;
}

void PageHeap::RemoveFree(FreeRuns::iterator run) {
  SideOf(run->first).by_size.erase({run->second, run->first});
  statistics_.free_pages -= run->second;
  free_.erase(run);
}

int64_t PageHeap::CountResident(const Side& side, int64_t page, int64_t pages) {
  int64_t count = 0;
  ForEachWord(page - side.first, pages,
              [&](int64_t i, uint64_t mask) { count += __builtin_popcountll(side.resident[i] & mask); });
  return count;
}

void PageHeap::SetResident(Side& side, int64_t page, int64_t pages, bool resident) {
  ForEachWord(page - side.first, pages, [&](int64_t i, uint64_t mask) {
    side.resident[i] = resident ? side.resident[i] | mask : side.resident[i] & ~mask;
  });
}

std::vector<std::pair<int64_t, int64_t>> PageHeap::ChooseIdle(int64_t wanted, int64_t but, int64_t but_pages,
                                                              int64_t* gone) {
  std::vector<std::pair<int64_t, int64_t>> chosen;
  std::array<BySize::reverse_iterator, 2> next = {sides_[0].by_size.rbegin(), sides_[1].by_size.rbegin()};
  while (*gone < wanted) {
    const bool none[] = {next[0] == sides_[0].by_size.rend(), next[1] == sides_[1].by_size.rend()};
    if (none[0] && none[1]) break;
    const int which = none[0] || (!none[1] && next[1]->first > next[0]->first) ? 1 : 0;
    Side& side = sides_[which];
    const int64_t page = next[which]->second, end = next[which]->second + next[which]->first;
    ++next[which];
    // The part before and the part behind what must stay.
    for (const auto& [first, last] : {std::pair<int64_t, int64_t>{page, std::min(end, but)},
                                      std::pair<int64_t, int64_t>{std::max(page, but + but_pages), end}}) {
      // From the run's end, in steps of a huge page: no more page faults later than the bound asks for.
      for (int64_t to = last; to > first && *gone < wanted;) {
        const int64_t from = std::max(first, (to - 1) / kHugePages * kHugePages);
        const int64_t resident = CountResident(side, from, to - from);
        if (resident > 0) {
          if (!chosen.empty() && chosen.back().first == to) {
            chosen.back().first = from;  // one call of the system for both
          } else {
            chosen.emplace_back(from, to);
          }
          SetResident(side, from, to - from, false);
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
  const int64_t used_then = std::max(most_used_, statistics_.used_pages + pages);
  const int64_t slack =
      std::max(options_.slack_pages, static_cast<int64_t>(options_.slack_share * static_cast<double>(used_then)));
  const int64_t most = std::min(options_.limit_pages, used_then > kNoLimit - slack ? kNoLimit : used_then + slack);
  const int64_t over = statistics_.resident_pages + fresh - most;
  if (over > 0) DiscardIdle(over, page, pages);
  return statistics_.resident_pages + fresh <= options_.limit_pages;
}

char* PageHeap::Allocate(int64_t pages) {
  STOWAGE_CHECK(pages >= 1) << pages;
  const int side = pages >= kLargePages ? kLarge : kRest;
  char* const run = AllocateOn(sides_[side], pages);
  return run != nullptr ? run : AllocateOn(sides_[1 - side], pages);
}

char* PageHeap::AllocateOn(Side& side, int64_t pages) {
  if (pages > side.end - side.first) return nullptr;
  auto fit = side.by_size.lower_bound({pages, 0});
  // The run before the frontier comes last, however well it fits: it alone can grow.
  if (fit != side.by_size.end() && fit->second + fit->first == side.frontier && std::next(fit) != side.by_size.end()) {
    ++fit;
  }
  int64_t page, from_free = 0;  // where, and how many of its pages a free run gives
  bool from_end = false;        // the run's end, and not its start
  FreeRuns::iterator run = free_.end();
  if (fit != side.by_size.end()) {
    run = free_.find(fit->second);
    from_end = pages < kFewPages || (pages >= kHugeRunPages && pages < kVastRunPages);
    page = from_end ? fit->second + fit->first - pages : fit->second;
    from_free = pages;
  } else {
    // At the frontier, together with what is free right before it.
    page = side.frontier;
    const auto behind = free_.lower_bound(side.frontier);
    if (behind != free_.begin()) {
      const auto last = std::prev(behind);
      if (last->first >= side.first && last->first + last->second == side.frontier) {
        run = last;
        page = run->first;
        from_free = run->second;
      }
    }
  }
  const int64_t end = page + pages;
  if (end > side.end) return nullptr;
  if (end > side.usable) {
    const size_t usable =
        range_->MakeUsable(static_cast<size_t>(side.usable * kPageBytes), static_cast<size_t>(end * kPageBytes));
    if (usable == 0) return nullptr;
    side.usable = static_cast<int64_t>(usable) / kPageBytes;
  }
  const int64_t words = (end - side.first + 63) / 64;
  if (static_cast<int64_t>(side.resident.size()) < words) side.resident.resize(words, 0);
  const int64_t fresh = pages - CountResident(side, page, from_free);
  if (!MakeRoom(fresh, page, pages)) return nullptr;

  if (run != free_.end()) {
    const int64_t left = run->second - from_free;
    const int64_t left_at = from_end ? run->first : end;
    RemoveFree(run);
    if (left > 0) AddFree(left_at, left);
  }
  side.frontier = std::max(side.frontier, end);
  SetResident(side, page, pages, true);
  statistics_.resident_pages += fresh;
  statistics_.fresh_pages += fresh;
  statistics_.used_pages += pages;
  most_used_ = std::max(most_used_, statistics_.used_pages);
  return range_->base() + page * kPageBytes;
}

void PageHeap::Free(char* run, int64_t pages) {
  int64_t page = PageOf(run);
  Side& side = SideOf(page);
  STOWAGE_CHECK(Contains(run) && page + pages <= side.frontier && pages >= 1) << page << " + " << pages;
  const auto after = free_.lower_bound(page);
  STOWAGE_CHECK(after == free_.end() || after->first >= page + pages) << "freed twice: page " << page;
  const auto before = after == free_.begin() ? free_.end() : std::prev(after);
  STOWAGE_CHECK(before == free_.end() || before->first + before->second <= page) << "freed twice: page " << page;
  const bool joins_after = after != free_.end() && after->first == page + pages && after->first < side.end;
  const bool joins_before = before != free_.end() && before->first + before->second == page && page > side.first;
  statistics_.used_pages -= pages;
  statistics_.free_pages += pages;
  if (joins_after) {
    pages += after->second;
    side.by_size.erase({after->second, after->first});
  }
  // A neighbour grows in place. A B-tree's iterators end with the next change: erasing comes last.
  if (joins_before) {
    side.by_size.erase({before->second, before->first});
    before->second += pages;
    side.by_size.emplace(before->second, before->first);
    if (joins_after) free_.erase(after);
  } else {
    side.by_size.emplace(pages, page);
    if (joins_after) free_.erase(after);
    free_.emplace(page, pages);
  }
  const int64_t idle = statistics_.resident_pages - statistics_.used_pages;
  if (idle > options_.most_idle_pages) DiscardIdle(idle - options_.most_idle_pages, 0, 0);
}

void PageHeap::set_most_idle_pages(int64_t pages) {
  options_.most_idle_pages = pages;
  const int64_t idle = statistics_.resident_pages - statistics_.used_pages;
  if (idle > pages) DiscardIdle(idle - pages, 0, 0);
}

int64_t PageHeap::Trim(int64_t keep_pages) {
  most_used_ = statistics_.used_pages;
  const int64_t idle = statistics_.resident_pages - statistics_.used_pages;
  return idle > keep_pages ? DiscardIdle(idle - keep_pages, 0, 0) : 0;
}

PageHeap::Statistics PageHeap::GetStatistics() const {
  Statistics statistics = statistics_;
  statistics.free_runs = static_cast<int64_t>(free_.size());
  for (const Side& side : sides_) {
    if (!side.by_size.empty()) {
      statistics.largest_free_pages = std::max(statistics.largest_free_pages, side.by_size.rbegin()->first);
    }
  }
  return statistics;
}

}  // namespace stowage
