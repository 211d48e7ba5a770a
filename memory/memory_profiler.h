// Snapshots and named blocks of a program, in the order in which they came, for people to read.
//
//   MemoryProfiler profiler(marks, [&] { return pool->Statistics().resident; });
//   profiler.Snapshot("model made");
//   {
//     MemoryBlock block(profiler, "forward");       // its own peak, whatever is measured inside or around it
//     ...
//   }
//   std::cout << profiler.Summary();
//
// Switched off, it measures and allocates nothing. Not thread-safe; the bytes are of all threads.
#ifndef STOWAGE_MEMORY_MEMORY_PROFILER_H_
#define STOWAGE_MEMORY_MEMORY_PROFILER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "memory/ledger_marks.h"

namespace stowage {

class MemoryProfiler {
 public:
  // Bytes in the host's memory.
  struct Moment {
    double seconds = 0.0;  // since the profiler was made
    int64_t live = 0;      // in tensors
    int64_t reserved = 0;  // what tensors' memory is taken from: live blocks, and idle ones that are kept
    int64_t peak = 0;      // most live at once since the profiler was made
  };
  // A snapshot, or a block.
  struct Entry {
    std::string label;
    int depth = 0;  // blocks around it
    bool block = false;
    Moment start;               // of a snapshot the only one
    std::optional<Moment> end;  // of a block that was left
    int64_t block_peak = 0;     // most live at once within the block, known when it was left
  };

  // Borrows `marks`. `reserved` may be empty: then it is what is live.
  explicit MemoryProfiler(LedgerMarks& marks, std::function<int64_t()> reserved = nullptr, bool on = true);
  ~MemoryProfiler();
  MemoryProfiler(const MemoryProfiler&) = delete;
  MemoryProfiler& operator=(const MemoryProfiler&) = delete;

  bool on() const { return on_; }
  void Snapshot(absl::string_view label);

  const std::vector<Entry>& entries() const { return entries_; }
  // Most live at once since the profiler was made; 0 if it is off.
  int64_t OverallPeak() const;
  // A numbered line for each entry, blocks indented by what is around them, and the overall peak. Empty if it is off.
  std::string Summary() const;

 private:
  friend class MemoryBlock;
  Moment Now() const;

  LedgerMarks& marks_;
  const std::function<int64_t()> reserved_;
  const bool on_;
  const std::chrono::steady_clock::time_point start_;
  Peaks peaks_;
  std::vector<Entry> entries_;
  int depth_ = 0;
};

// Entered when it is made and left when it goes, by an exception too. Blocks nest.
class MemoryBlock {
 public:
  MemoryBlock(MemoryProfiler& profiler, absl::string_view label);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

 private:
  MemoryProfiler& profiler_;
  size_t index_ = 0;
  Peaks peaks_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_MEMORY_PROFILER_H_
