#include "memory/planned/pack_arena.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <random>
#include <utility>

#include "base/check.h"

namespace stowage {
namespace {

using Order = std::vector<int32_t>;  // numbers of planned blocks

struct Span {
  int64_t begin, end;
  bool operator<(const Span& other) const { return begin < other.begin; }
};

// Places blocks one after the other; knows which of the placed ones meet a given one in time.
//
// Those born during its life are found by their numbers. Those that are alive at its birth: one born since the last
// multiple of kStride likewise, the others in a list kept for each such multiple, of the placed blocks that live across
// it. So memory is one entry per block and kStride times of its life, and not the square.
class Placement {
 public:
  Placement(const Lifetimes& lifetimes, int64_t* pairs) : lifetimes_(lifetimes), pairs_(pairs) {}

  // Returns how far the blocks reach; stops at `give_up_at` and returns that.
  int64_t PlaceAll(const Order& order, int64_t give_up_at) {
    offsets_.assign(lifetimes_.size(), ArenaPlan::kNoPlace);
    across_.assign(lifetimes_.size() / kStride + 1, {});
    reach_ = 0;
    for (const int32_t k : order) {
      const int64_t end = Place(k);
      if (end >= give_up_at) return give_up_at;
      reach_ = std::max(reach_, end);
    }
    return reach_;
  }

  const std::vector<int64_t>& offsets() const { return offsets_; }
  // The block at which PlaceAll gave up, or the first that reaches farthest.
  int32_t farthest() const { return farthest_; }

 private:
  static constexpr int64_t kStride = 64;

  int64_t Place(int32_t k) {
    const BlockLifetime& block = lifetimes_[static_cast<size_t>(k)];
    const int64_t size = PlacedBytes(block.bytes);
    Meet(k, block.death);
    std::sort(met_.begin(), met_.end());
    int64_t offset = 0;
    for (const Span& span : met_) {
      if (span.begin - offset >= size) break;
      offset = std::max(offset, span.end);
    }
    offsets_[static_cast<size_t>(k)] = offset;
    for (int64_t stop = k / kStride + 1; stop * kStride < block.death; ++stop) {
      across_[static_cast<size_t>(stop)].push_back(k);
    }
    if (offset + size > reach_) farthest_ = k;
    return offset + size;
  }

  // Fills met_ with the placed blocks that are held at some time of [k, death).
  void Meet(int64_t k, int64_t death) {
    met_.clear();
    const int64_t stop = k / kStride;
    for (const int32_t other : across_[static_cast<size_t>(stop)]) Add(other, k);
    for (int64_t other = stop * kStride; other < k; ++other) Add(other, k);
    for (int64_t other = k + 1; other < death; ++other) Add(other, k);
    *pairs_ += static_cast<int64_t>(across_[static_cast<size_t>(stop)].size()) + death - stop * kStride;
  }

  void Add(int64_t other, int64_t k) {
    const int64_t offset = offsets_[static_cast<size_t>(other)];
    const BlockLifetime& block = lifetimes_[static_cast<size_t>(other)];
    if (offset == ArenaPlan::kNoPlace || block.death <= k) return;
    met_.push_back({offset, offset + PlacedBytes(block.bytes)});
  }

  const Lifetimes& lifetimes_;
  int64_t* const pairs_;  // counted up
  std::vector<int64_t> offsets_;
  std::vector<std::vector<int32_t>> across_;  // by time / kStride
  std::vector<Span> met_;
  int64_t reach_ = 0;
  int32_t farthest_ = 0;
};

// Blocks by falling `key`, older first among equals.
template <typename Key>
Order ByFalling(const Order& blocks, const Key& key) {
  Order order = blocks;
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return key(a) > key(b); });
  return order;
}

}  // namespace

ArenaPlan PackArena(const Lifetimes& lifetimes, const PackOptions& options) {
  STOWAGE_CHECK(lifetimes.size() < static_cast<size_t>(std::numeric_limits<int32_t>::max())) << lifetimes.size();
  ArenaPlan plan;
  plan.peak_live_bytes = PeakLiveBytes(lifetimes);
  plan.offsets.assign(lifetimes.size(), ArenaPlan::kNoPlace);
  Order blocks;
  for (size_t k = 0; k < lifetimes.size(); ++k) {
    if (lifetimes[k].planned()) blocks.push_back(static_cast<int32_t>(k));
  }
  if (blocks.empty()) return plan;

  const auto bytes = [&](int32_t k) { return PlacedBytes(lifetimes[static_cast<size_t>(k)].bytes); };
  const auto life = [&](int32_t k) { return lifetimes[static_cast<size_t>(k)].death - k; };
  // A product of the two may not fit 64 bits.
  const auto area = [&](int32_t k) { return static_cast<double>(bytes(k)) * static_cast<double>(life(k)); };
  const auto bytes_life = [&](int32_t k) { return std::make_pair(bytes(k), life(k)); };

  const int64_t enough =
      plan.peak_live_bytes + static_cast<int64_t>(options.good_enough * static_cast<double>(plan.peak_live_bytes));
  int64_t pairs = 0;
  Placement placement(lifetimes, &pairs);
  int64_t best = std::numeric_limits<int64_t>::max();
  Order best_order;
  int32_t farthest_of_best = 0;
  const auto done = [&] { return best <= enough || pairs >= options.most_pairs; };
  const auto attempt = [&](const Order& order) {
    const int64_t reach = placement.PlaceAll(order, best);
    if (reach >= best) return false;
    best = reach;
    best_order = order;
    farthest_of_best = placement.farthest();
    plan.offsets = placement.offsets();
    return true;
  };

  const std::function<Order()> orders[] = {
      [&] { return ByFalling(blocks, bytes_life); },
      [&] { return ByFalling(blocks, area); },
      [&] { return ByFalling(blocks, life); },
  };
  for (const auto& order : orders) {
    if (done()) break;
    attempt(order());
  }

  // The search: whatever block reaches too far goes to a place further ahead in the order, drawn at random (of a fixed
  // seed); from an order that led nowhere for so many moves, back to the best one.
  constexpr int kMovesFromBest = 64;
  std::mt19937_64 random(1);  // the standard says which numbers it gives
  Order order = best_order;
  int32_t too_far = farthest_of_best;
  for (int moves = 0; !done(); ++moves) {
    if (moves == kMovesFromBest) {
      moves = 0;
      order = best_order;
      too_far = farthest_of_best;
    }
    const auto from = std::find(order.begin(), order.end(), too_far);
    const int64_t at = from - order.begin();
    if (at > 0) std::rotate(order.begin() + static_cast<int64_t>(random() % static_cast<uint64_t>(at)), from, from + 1);
    if (attempt(order)) moves = 0;
    too_far = placement.farthest();
    pairs += static_cast<int64_t>(order.size());  // so that it ends whatever the blocks are
  }
  plan.arena_bytes = best;
  return plan;
}

}  // namespace stowage
