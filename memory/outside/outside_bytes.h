// What a process holds in RAM, tensors and all else, added up.
#ifndef STOWAGE_MEMORY_OUTSIDE_OUTSIDE_BYTES_H_
#define STOWAGE_MEMORY_OUTSIDE_OUTSIDE_BYTES_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "memory/outside/heap.h"
#include "memory/outside/mapping_sums.h"
#include "memory/outside/outside_line.h"

namespace stowage {

// What others know. Bytes.
struct OutsideInputs {
  int64_t tensor_bytes = 0;      // live in the ledger
  int64_t block_page_bytes = 0;  // pages that hold them: blocks in use of registered kTensors ranges, rounding included
  int64_t heap_at_start_bytes = 0;  // HeapUse::in_use_bytes before the program's own work
};

// Bytes. tensor_bytes + unwritten_bytes + all lines + nobody_bytes == rss_bytes.
struct OutsideBytes {
  std::array<int64_t, kOutsideLines> lines = {};
  int64_t tensor_bytes = 0;     // as given
  int64_t unwritten_bytes = 0;  // <= 0: of tensors' pages, those that nobody has written yet and that are not in RAM
  int64_t nobody_bytes = 0;     // in mappings of which nothing is known
  int64_t rss_bytes = 0;        // of all mappings

  int64_t operator[](OutsideLine line) const { return lines[static_cast<int>(line)]; }
  int64_t& operator[](OutsideLine line) { return lines[static_cast<int>(line)]; }
  int64_t lines_bytes() const;  // of all lines
};

// Divides the heap's pages and the pool's by what malloc, the pool and the ledger say.
OutsideBytes Divide(const MappingSums& sums, const HeapUse& heap, const OutsideInputs& inputs);

// Of this process, now. Costs what ReadSmaps does. Errors as ReadSmaps. Thread-safe.
absl::StatusOr<OutsideBytes> MeasureOutside(const OutsideInputs& inputs);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_OUTSIDE_BYTES_H_
