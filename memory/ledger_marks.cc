#include "memory/ledger_marks.h"

#include <algorithm>

#include "base/check.h"

namespace stowage {

LedgerMarks::LedgerMarks(Ledger& ledger) : ledger_(ledger) { open_.reserve(16); }

void LedgerMarks::Cut() {
  for (int p = 0; p < kPlaces; ++p) {
    const Place place = static_cast<Place>(p);
    if (!ledger_.used(place)) continue;
    const LedgerSnapshot taken = ledger_.TakePeaks(place);
    PlacePeaks since;
    for (int c = 0; c < kCategories; ++c) since.categories[c] = taken.categories[c].peak;
    since.total = taken.total.peak;
    overall_.places[p].Raise(since);
    for (Peaks* mark : open_) mark->places[p].Raise(since);
  }
}

void LedgerMarks::Open(Peaks* mark) {
  const std::lock_guard<std::mutex> lock(mu_);
  Cut();
  open_.push_back(mark);
}

void LedgerMarks::Close(Peaks* mark) {
  const std::lock_guard<std::mutex> lock(mu_);
  Cut();
  // From the back: what was opened last is mostly closed first.
  const auto found = std::find(open_.rbegin(), open_.rend(), mark);
  STOWAGE_CHECK(found != open_.rend()) << "a mark was closed that is not open";
  open_.erase(std::next(found).base());
}

Peaks LedgerMarks::Read(const Peaks& mark) {
  const std::lock_guard<std::mutex> lock(mu_);
  Cut();
  return mark;
}

Peaks LedgerMarks::Overall() {
  const std::lock_guard<std::mutex> lock(mu_);
  Cut();
  return overall_;
}

}  // namespace stowage
