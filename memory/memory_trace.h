// A timeline of what was held: for Chrome's tracing page and Perfetto, and as a table.
//
// Whoever plays instructions records each as a slice: when it began and ended, what was live at either time, and the
// peaks in between. Kept in memory (about 1 KiB a slice) until it is written. Not thread-safe.
#ifndef STOWAGE_MEMORY_MEMORY_TRACE_H_
#define STOWAGE_MEMORY_MEMORY_TRACE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "memory/category.h"
#include "memory/label.h"
#include "memory/ledger.h"
#include "memory/peaks.h"

namespace stowage {

// Live bytes at one moment.
struct LiveBytes {
  std::array<PlacePeaks, kPlaces> places;  // here no peaks but what was live
};
LiveBytes ReadLive(const Ledger& ledger);

struct MemorySlice {
  Label label;           // "forward h.3.attn", "step"
  bool outer = false;    // holds others: drawn on a track above
  int64_t step = 0;      // counted from 1
  int micro_batch = -1;  // -1: of none
  int64_t start_ns = 0;  // of any clock, the same for all slices
  int64_t end_ns = 0;
  LiveBytes at_start;
  LiveBytes at_end;
  Peaks peaks;  // between the two
};

class MemoryTrace {
 public:
  // In the order in which they end.
  void Add(const MemorySlice& slice) { slices_.push_back(slice); }
  const std::vector<MemorySlice>& slices() const { return slices_; }

  // Trace Event Format (JSON object form), which chrome://tracing and ui.perfetto.dev open: a process named `process`,
  // a complete event ("X") for each slice with step, micro_batch and peak_bytes as arguments, and for each place that
  // holds anything counter events ("C") "host bytes" by category at each boundary of an instruction, and "host peak
  // bytes" of each instruction. Times in microseconds from the first slice's start.
  std::string Json(const std::string& process) const;

  // A line for each slice: step, micro_batch, name, start and duration in microseconds, and of each place that holds
  // anything the live bytes at the end and the peaks, by category and in all. The first line names the columns.
  std::string Csv() const;

 private:
  std::vector<Place> UsedPlaces() const;

  std::vector<MemorySlice> slices_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_MEMORY_TRACE_H_
