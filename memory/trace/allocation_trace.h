// What a program asked of its source of blocks, in order: to be played again against other sources.
//
// The file is text under gzip (zcat shows it), about two bytes an event:
//
//   stowage allocations 1
//   # quickstart                       what was recorded
//   + 64 1                             a block of 64 bytes on thread 1; blocks are numbered in this order, from 0
//   - 0 1                              block 0 is freed, on thread 1
//   step                               a training step begins
#ifndef STOWAGE_MEMORY_TRACE_ALLOCATION_TRACE_H_
#define STOWAGE_MEMORY_TRACE_ALLOCATION_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

struct AllocationEvent {
  int32_t block = 0;   // by number of its allocation
  int32_t thread = 0;  // threads are numbered from 0 in the order in which they come
  int64_t bytes = 0;   // as asked of the source; 0: the block is freed
};

struct AllocationTrace {
  std::string name;
  std::vector<AllocationEvent> events;  // in time order over all threads
  std::vector<int64_t> steps;           // index in `events` of what follows the begin of each step
};

// Errors: the file cannot be written or read (with the path); DataLoss: it is no trace, or is damaged (with the line).
// Blocks of a trace that was read are freed at most once, and after their allocation.
absl::Status WriteAllocationTrace(const std::string& path, const AllocationTrace& trace);
absl::StatusOr<AllocationTrace> ReadAllocationTrace(const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TRACE_ALLOCATION_TRACE_H_
