#include "memory/outside/peak_sampler.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "memory/process_memory.h"

namespace stowage {
namespace {

// By how much a height must exceed the last one looked at: a 200th.
constexpr int64_t kGrowthParts = 200;
// What a sample may leave unexplained by its moment: a 64th of what is in RAM.
constexpr int64_t kAboutParts = 64;

bool Grew(int64_t value, int64_t before) { return value - before > before / kGrowthParts; }

// Raises `highest` to `value`; whether `value` is within the growth step of the highest.
bool NearHighest(int64_t value, std::atomic<int64_t>* highest) {
  int64_t before = highest->load(std::memory_order_relaxed);
  while (value > before && !highest->compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
  return value >= before - before / kGrowthParts;
}

}  // namespace

PeakSampler::PeakSampler(const Ledger& ledger, std::function<Pages()> pages, std::function<std::string()> moment,
                         int64_t heap_at_start_bytes, double most_time_share)
    : ledger_(ledger),
      pages_(std::move(pages)),
      moment_(std::move(moment)),
      heap_at_start_bytes_(heap_at_start_bytes),
      most_time_share_(most_time_share) {}

void PeakSampler::BeforeFree() {
  const int64_t live = ledger_.total_live();
  const int64_t resident = pages_().resident;
  const bool new_live =
      NearHighest(live, &highest_live_) && Grew(live, looked_at_live_.load(std::memory_order_relaxed));
  const bool new_resident =
      NearHighest(resident, &highest_resident_) && Grew(resident, looked_at_resident_.load(std::memory_order_relaxed));
  if (!new_live && !new_resident) return;
  const double spent = static_cast<double>(spent_ns_.load(std::memory_order_relaxed));
  if (spent > most_time_share_ * std::chrono::nanoseconds(Clock::now() - start_).count()) return;
  // Who looks keeps others from looking; they need not wait.
  const std::unique_lock<std::mutex> lock(mu_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  Look();
  looked_at_live_.store(std::max(live, looked_at_live_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  looked_at_resident_.store(resident, std::memory_order_relaxed);
}

void PeakSampler::Look() {
  const Clock::time_point begin = Clock::now();
  looks_.fetch_add(1, std::memory_order_relaxed);
  PeakSample sample;
  OutsideInputs inputs;
  for (int c = 0; c < kCategories; ++c) {
    sample.live[c] = ledger_.live(static_cast<Category>(c));
    inputs.tensor_bytes += sample.live[c];
  }
  inputs.block_page_bytes = pages_().in_blocks;
  inputs.heap_at_start_bytes = heap_at_start_bytes_;
  absl::StatusOr<OutsideBytes> outside = MeasureOutside(inputs);
  failed_ = outside.status();
  if (outside.ok()) {
    sample.outside = *std::move(outside);
    // Of two moments with about the same bytes in RAM, the one at which tensors held more of them says more.
    const int64_t rss = sample.outside.rss_bytes, best = best_.outside.rss_bytes;
    const int64_t about = best / kAboutParts;
    if (rss > best + about || (rss >= best - about && sample.outside.tensor_bytes > best_.outside.tensor_bytes)) {
      // A lesser moment that has won (the heap had grown since) shall not stay: the height is looked at again.
      if (sample.outside.tensor_bytes < best_.outside.tensor_bytes) looked_at_live_.store(0, std::memory_order_relaxed);
      sample.moment = moment_();
      best_ = std::move(sample);
    }
  }
  spent_ns_.fetch_add(std::chrono::nanoseconds(Clock::now() - begin).count(), std::memory_order_relaxed);
}

absl::StatusOr<PeakSample> PeakSampler::Finish() {
  const std::lock_guard<std::mutex> lock(mu_);
  STOWAGE_ASSIGN_OR_RETURN(const ProcessMemory memory, ReadProcessMemory());
  if (Grew(memory.rss, best_.outside.rss_bytes)) Look();
  if (best_.outside.rss_bytes == 0) return failed_;
  PeakSample sample = best_;
  sample.rss_peak_bytes = memory.peak_rss;
  return sample;
}

}  // namespace stowage
