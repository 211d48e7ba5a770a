#include "memory/planned/planned_source.h"

#include <algorithm>

#include "base/check.h"

namespace stowage {

PlannedSource::PlannedSource(const Lifetimes& lifetimes, const ArenaPlan& plan, BlockSource& base) : base_(base) {
  STOWAGE_CHECK(plan.offsets.size() == lifetimes.size()) << plan.offsets.size() << " of " << lifetimes.size();
  statistics_.arena_bytes = plan.arena_bytes;
  statistics_.peak_live_bytes = plan.peak_live_bytes;
  // At most half full, so that a look-up ends after a step or two.
  size_t slots = 16;
  while (slots < 2 * lifetimes.size()) slots *= 2;
  slots_ = std::make_unique<Slot[]>(slots);
  slot_mask_ = slots - 1;
  entries_.reserve(lifetimes.size());
  for (size_t k = 0; k < lifetimes.size(); ++k) {
    const int64_t offset = plan.offsets[k];
    Entry entry{lifetimes[k].bytes, offset, 0};
    if (offset != ArenaPlan::kNoPlace) {
      STOWAGE_CHECK(offset >= 0 && offset + PlacedBytes(entry.bytes) <= plan.arena_bytes) << "block " << k;
      entry.slot = static_cast<int32_t>(SlotOf(offset));
      slots_[static_cast<size_t>(entry.slot)].offset = offset;
      deaths_.push_back({lifetimes[k].death, static_cast<int32_t>(k), entry.slot});
    }
    entries_.push_back(entry);
  }
  std::stable_sort(deaths_.begin(), deaths_.end(), [](const Death& a, const Death& b) { return a.time < b.time; });
}

PlannedSource::~PlannedSource() {
  STOWAGE_CHECK(GiveArenaBack() && outstanding() == 0) << outstanding() << " blocks are live";
}

size_t PlannedSource::SlotOf(int64_t offset) const {
  // Fibonacci hashing (Knuth, vol. 3, 6.4): offsets are multiples of 64, often of large powers of two.
  size_t at = static_cast<size_t>((static_cast<uint64_t>(offset) * 0x9E37'79B9'7F4A'7C15u) >> 32) & slot_mask_;
  while (slots_[at].offset != offset && slots_[at].offset != ArenaPlan::kNoPlace) at = (at + 1) & slot_mask_;
  return at;
}

bool PlannedSource::IsLive(int32_t number, int32_t slot) const {
  // Acquire: what another thread wrote into the block before freeing it comes before what the next owner writes.
  return slots_[static_cast<size_t>(slot)].block.load(std::memory_order_acquire) == number + 1;
}

bool PlannedSource::BeginStep() {
  STOWAGE_CHECK(thread_.load(std::memory_order_relaxed) == std::thread::id()) << "a step is being played";
  ++statistics_.steps;
  next_ = 0;
  next_death_ = 0;
  recent_.fill(0);
  char* arena = arena_.load(std::memory_order_relaxed);
  if (arena == nullptr && statistics_.arena_bytes > 0) {
    arena = static_cast<char*>(base_.Allocate(static_cast<size_t>(statistics_.arena_bytes)));
    if (arena == nullptr) {
      ++statistics_.steps_without;
      return false;
    }
    arena_.store(arena, std::memory_order_relaxed);
  }
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  return true;
}

void PlannedSource::EndStep() {
  if (thread_.exchange(std::thread::id(), std::memory_order_relaxed) == std::thread::id()) return;  // without arena
  ListLate(BlockLifetime::kOutlives);
  GiveArenaBack();
  statistics_.overdue += static_cast<int64_t>(late_.size());
}

bool PlannedSource::GiveArenaBack() {
  char* const arena = arena_.load(std::memory_order_relaxed);
  if (arena == nullptr) return true;
  late_.erase(
      std::remove_if(late_.begin(), late_.end(), [&](const Death& block) { return !IsLive(block.number, block.slot); }),
      late_.end());
  if (!late_.empty()) return false;
  // First forgotten, then freed: whoever gets these pages next may free them through here on another thread.
  arena_.store(nullptr, std::memory_order_relaxed);
  base_.Free(arena, static_cast<size_t>(statistics_.arena_bytes));
  return true;
}

void PlannedSource::ListLate(int64_t time) {
  for (; next_death_ < deaths_.size() && deaths_[next_death_].time <= time; ++next_death_) {
    const Death& block = deaths_[next_death_];
    if (!IsLive(block.number, block.slot)) continue;
    // One that has been late since an earlier step is listed already.
    const auto same = [&](const Death& late) { return late.number == block.number; };
    if (std::none_of(late_.begin(), late_.end(), same)) late_.push_back(block);
  }
}

bool PlannedSource::OnLateBlock(const Entry& entry) {
  const int64_t end = entry.offset + PlacedBytes(entry.bytes);
  bool on_one = false;
  size_t left = 0;
  for (const Death& block : late_) {
    if (!IsLive(block.number, block.slot)) continue;
    late_[left++] = block;
    const Entry& late = entries_[static_cast<size_t>(block.number)];
    on_one = on_one || (late.offset < end && entry.offset < late.offset + PlacedBytes(late.bytes));
  }
  late_.resize(left);
  return on_one;
}

int64_t PlannedSource::Match(int64_t bytes) const {
  const int64_t count = static_cast<int64_t>(entries_.size());
  if (next_ < count && entries_[static_cast<size_t>(next_)].bytes == bytes) return next_;
  for (int64_t k = next_ + 1; k < std::min(count, next_ + kWindow); ++k) {
    bool agree = k >= kAgreeing - 1 && entries_[static_cast<size_t>(k)].bytes == bytes;
    for (int back = 1; agree && back < kAgreeing; ++back) {
      agree = entries_[static_cast<size_t>(k - back)].bytes == recent_[static_cast<size_t>(back - 1)];
    }
    if (agree) return k;
  }
  return ArenaPlan::kNoPlace;
}

void PlannedSource::Remember(int64_t bytes) {
  for (size_t i = recent_.size() - 1; i > 0; --i) recent_[i] = recent_[i - 1];
  recent_[0] = bytes;
}

void* PlannedSource::FromBase(size_t bytes, int64_t* counter) {
  void* const block = base_.Allocate(bytes);
  if (block == nullptr) return nullptr;
  outside_.fetch_add(1, std::memory_order_relaxed);
  if (counter != nullptr) {
    ++*counter;
    Remember(static_cast<int64_t>(bytes));
  }
  return block;
}

void* PlannedSource::Allocate(size_t bytes) {
  if (thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) return FromBase(bytes, nullptr);
  const int64_t number = Match(static_cast<int64_t>(bytes));
  if (number == ArenaPlan::kNoPlace) return FromBase(bytes, &statistics_.unexpected);
  const Entry& entry = entries_[static_cast<size_t>(number)];
  if (entry.offset == ArenaPlan::kNoPlace) {
    void* const block = FromBase(bytes, &statistics_.outliving);
    if (block != nullptr) next_ = number + 1;
    return block;
  }
  ListLate(number);
  if (!late_.empty() && OnLateBlock(entry)) {
    void* const block = FromBase(bytes, &statistics_.occupied);
    if (block != nullptr) next_ = number + 1;
    return block;
  }
  next_ = number + 1;
  Remember(entry.bytes);
  slots_[static_cast<size_t>(entry.slot)].block.store(static_cast<int32_t>(number) + 1, std::memory_order_relaxed);
  ++statistics_.served;
  return arena_.load(std::memory_order_relaxed) + entry.offset;
}

void PlannedSource::Free(void* block, size_t bytes) {
  char* const arena = arena_.load(std::memory_order_relaxed);
  char* const data = static_cast<char*>(block);
  if (arena == nullptr || data < arena || data >= arena + statistics_.arena_bytes) {
    outside_.fetch_sub(1, std::memory_order_relaxed);
    base_.Free(block, bytes);
    return;
  }
  Slot& slot = slots_[SlotOf(data - arena)];
  const int32_t number = slot.block.load(std::memory_order_relaxed);
  STOWAGE_CHECK(number != 0 && entries_[static_cast<size_t>(number - 1)].bytes == static_cast<int64_t>(bytes))
      << block << " of " << bytes << " bytes was freed before, or is not of this source";
  slot.block.store(0, std::memory_order_release);
}

int64_t PlannedSource::outstanding() const {
  int64_t in_arena = 0;
  for (size_t i = 0; i <= slot_mask_; ++i) in_arena += slots_[i].block.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return in_arena + outside_.load(std::memory_order_relaxed);
}

}  // namespace stowage
