// What the kernel says this process holds in RAM.
#ifndef STOWAGE_MEMORY_PROCESS_MEMORY_H_
#define STOWAGE_MEMORY_PROCESS_MEMORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

// Bytes, of /proc/self/status. Linux counts pages in batches per thread, so a value may lag by some 256 KiB a thread.
struct ProcessMemory {
  int64_t peak_rss = 0;  // VmHWM: most that was resident at once, since the start or the last ResetPeakRss()
  int64_t rss = 0;       // VmRSS: resident now, anonymous + files + shared memory
  int64_t rss_anon = 0;  // RssAnon: heap, stacks
  int64_t rss_file = 0;  // RssFile: mapped files, libraries' code among them
};

// Unavailable: /proc is not mounted, or lacks one of the lines. Allocates no memory but for an error. Thread-safe.
absl::StatusOr<ProcessMemory> ReadProcessMemory();

// Sets peak_rss back to rss (/proc/self/clear_refs, Linux 4.0). Unavailable: the system does not let us.
absl::Status ResetPeakRss();

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PROCESS_MEMORY_H_
