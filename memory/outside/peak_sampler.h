// What memory is made of at the moment when the process holds the most.
//
// That moment cannot be stopped at, but it can be known: resident memory is at its most when tensors are, and tensors
// are at a local most right before one of them is freed. So whoever frees a large block says so first. The sampler
// looks then, if tensors or the pool's resident pages have reached a new height by more than 0.5 %, and keeps the
// sample with the most bytes in RAM. Steps repeat, so the moments come again.
//
// Costs: two comparisons a large block. A look costs milliseconds (ReadSmaps); looks together take at most 0.5 % of the
// time since the start, the last one apart.
//
// Thread-safe.
#ifndef STOWAGE_MEMORY_OUTSIDE_PEAK_SAMPLER_H_
#define STOWAGE_MEMORY_OUTSIDE_PEAK_SAMPLER_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/category.h"
#include "memory/free_watch.h"
#include "memory/ledger.h"
#include "memory/outside/outside_bytes.h"

namespace stowage {

// Bytes, of one moment.
struct PeakSample {
  std::array<int64_t, kCategories> live = {};  // in tensors, by category; their sum is outside.tensor_bytes
  OutsideBytes outside;
  std::string moment;          // "step 3, backward h.3.attn"
  int64_t rss_peak_bytes = 0;  // VmHWM, when it was asked for

  // What no line explains: mappings of which nothing is known, and what was in RAM at another moment. May be negative
  // by what the kernel counts late.
  int64_t unexplained_bytes() const {
    return rss_peak_bytes - outside.tensor_bytes - outside.unwritten_bytes - outside.lines_bytes();
  }
};

class PeakSampler final : public FreeWatch {
 public:
  // Pages of tensors' blocks. Bytes.
  struct Pages {
    int64_t in_blocks = 0;
    int64_t resident = 0;  // idle ones too
  };

  // Borrows the ledger. `pages` and `moment` are called on threads that free, and must not make tensors; `pages` for
  // every large block, so it must be fast. `heap_at_start_bytes`: HeapUse::in_use_bytes now, before the work.
  // `most_time_share`: what looks may take of the time since now.
  PeakSampler(const Ledger& ledger, std::function<Pages()> pages, std::function<std::string()> moment,
              int64_t heap_at_start_bytes, double most_time_share = 0.005);
  PeakSampler(const PeakSampler&) = delete;
  PeakSampler& operator=(const PeakSampler&) = delete;

  // A large block is about to be freed.
  void BeforeFree() override;

  // The sample with the most bytes in RAM, beside the process's VmHWM of now. Looks once more if none was taken, or if
  // now there is more in RAM. Unavailable: /proc is not mounted, or lacks what is needed, with the words.
  absl::StatusOr<PeakSample> Finish();

  int64_t looks() const { return looks_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  void Look() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Ledger& ledger_;
  const std::function<Pages()> pages_;
  const std::function<std::string()> moment_;
  const int64_t heap_at_start_bytes_;
  const double most_time_share_;
  const Clock::time_point start_ = Clock::now();
  std::atomic<int64_t> highest_live_{0};    // ever seen
  std::atomic<int64_t> looked_at_live_{0};  // highest that was looked at
  std::atomic<int64_t> highest_resident_{0};
  std::atomic<int64_t> looked_at_resident_{0};
  std::atomic<int64_t> spent_ns_{0};  // on looks
  std::atomic<int64_t> looks_{0};

  std::mutex mu_;
  PeakSample best_ ABSL_GUARDED_BY(mu_);
  absl::Status failed_ ABSL_GUARDED_BY(mu_);  // of the last look
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_PEAK_SAMPLER_H_
