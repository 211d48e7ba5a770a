// The mappings of this process and how much of each is in RAM: /proc/self/smaps, read in one pass.
#ifndef STOWAGE_MEMORY_OUTSIDE_SMAPS_H_
#define STOWAGE_MEMORY_OUTSIDE_SMAPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

struct Mapping {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::string name;       // a path, "[heap]", "/memfd:x (deleted)"...; empty: anonymous
  int64_t rss_bytes = 0;  // of its pages, those that are in RAM

  bool anonymous() const { return name.empty(); }
};

// Takes the file's text by pieces, cut anywhere. Keys that it does not know are passed over.
class SmapsParser {
 public:
  void Add(absl::string_view piece);
  // In the file's order, by address. Call it once, at the end. DataLoss: not the text of such a file, with the line.
  absl::StatusOr<std::vector<Mapping>> Finish();

 private:
  void Line(absl::string_view line);

  std::string rest_;  // of a line whose end has not come yet
  std::string bad_;   // the first line that could not be read
  std::vector<Mapping> mappings_;
};

// Some 1 to 2 us a mapping, and 1 to 5 ms a GiB of small pages in RAM. Takes some 100 KiB from malloc, and gives them
// back. Unavailable: /proc is not mounted, or the kernel has no smaps. Thread-safe.
absl::StatusOr<std::vector<Mapping>> ReadSmaps();

// The bytes of [begin, end) that are in RAM, by /proc/self/pagemap. Unavailable: that cannot be read.
absl::StatusOr<int64_t> ResidentBytes(uint64_t begin, uint64_t end);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_SMAPS_H_
