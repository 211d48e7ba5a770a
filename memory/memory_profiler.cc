#include "memory/memory_profiler.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"

namespace stowage {

MemoryProfiler::MemoryProfiler(LedgerMarks& marks, std::function<int64_t()> reserved, bool on)
    : marks_(marks), reserved_(std::move(reserved)), on_(on), start_(std::chrono::steady_clock::now()) {
  if (on_) marks_.Open(&peaks_);
}

MemoryProfiler::~MemoryProfiler() {
  if (on_) marks_.Close(&peaks_);
}

MemoryProfiler::Moment MemoryProfiler::Now() const {
  Moment moment;
  moment.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  moment.live = marks_.ledger().total_live();
  moment.reserved = reserved_ ? reserved_() : moment.live;
  moment.peak = OverallPeak();
  return moment;
}

void MemoryProfiler::Snapshot(absl::string_view label) {
  if (!on_) return;
  Entry entry;
  entry.label = std::string(label);
  entry.depth = depth_;
  entry.start = Now();
  entries_.push_back(std::move(entry));
}

int64_t MemoryProfiler::OverallPeak() const { return on_ ? marks_.Read(peaks_).host().total : 0; }

std::string MemoryProfiler::Summary() const {
  if (!on_) return "";
  std::string text;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    absl::StrAppendFormat(&text, "%3d %9.3f s  live %10s  reserved %10s  %s%s", i + 1, entry.start.seconds,
                          HumanByteSize(entry.start.live), HumanByteSize(entry.start.reserved),
                          std::string(2 * entry.depth, ' '), entry.label);
    if (entry.end) {
      absl::StrAppendFormat(&text, ": peak %s, left after %.3f s with %s", HumanByteSize(entry.block_peak),
                            entry.end->seconds - entry.start.seconds, HumanByteSize(entry.end->live));
    } else if (entry.block) {
      absl::StrAppend(&text, ": not left yet");
    }
    absl::StrAppend(&text, "\n");
  }
  absl::StrAppend(&text, "peak in all ", HumanByteSize(OverallPeak()), "\n");
  return text;
}

MemoryBlock::MemoryBlock(MemoryProfiler& profiler, absl::string_view label) : profiler_(profiler) {
  if (!profiler_.on_) return;
  profiler_.Snapshot(label);
  index_ = profiler_.entries_.size() - 1;
  profiler_.entries_[index_].block = true;
  ++profiler_.depth_;
  profiler_.marks_.Open(&peaks_);
}

MemoryBlock::~MemoryBlock() {
  if (!profiler_.on_) return;
  profiler_.marks_.Close(&peaks_);
  --profiler_.depth_;
  // Written where it was entered: leaving allocates nothing, so it cannot fail when memory is short.
  MemoryProfiler::Entry& entry = profiler_.entries_[index_];
  entry.end = profiler_.Now();
  entry.block_peak = peaks_.host().total;
}

}  // namespace stowage
