// What a process holds in RAM that no tensor does, line by line. Every mapping belongs to one line; the heap's is split
// by what malloc says of itself.
#ifndef STOWAGE_MEMORY_OUTSIDE_OUTSIDE_LINE_H_
#define STOWAGE_MEMORY_OUTSIDE_OUTSIDE_LINE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

enum class OutsideLine : uint8_t {
  kLibraries,      // code and data of the program and of shared libraries, .bss included
  kLibrariesHeap,  // heap that was in use before a run's own work began: LibTorch's tables of operators, mostly
  kJitCode,        // code compiled at run time: oneDNN's kernels
  kThreadStacks,   // of all threads, with their thread-local storage
  kOwnWindows,     // registered shared memory of this process
  kPeerWindows,    // registered shared memory of peers
  kSharedMemory,   // other shared memory: /dev/shm, memfd, System V; MPI's segments
  kMklBuffers,     // heap held by MKL
  kHeap,           // the rest of the heap in use: malloc outside tensors, oneDNN's own buffers among it
  kHeapIdle,       // pages of the heap in no block: freed, and kept by malloc
  kPoolRounding,   // of the pool's blocks in use: headers, rounding, small blocks kept by threads
  kPoolIdle,       // pages of the pool in no block, kept for the next ones
  kBookKeeping,    // registered mappings of ours
  kFiles,          // other mapped files, and devices
};

inline constexpr int kOutsideLines = 14;

// As in reports: "libraries", "libraries_heap"...
constexpr absl::string_view OutsideLineName(OutsideLine line) {
  constexpr absl::string_view kNames[kOutsideLines] = {
      "libraries",   "libraries_heap", "jit_code",  "thread_stacks", "own_windows", "peer_windows", "shared_memory",
      "mkl_buffers", "heap",           "heap_idle", "pool_rounding", "pool_idle",   "book_keeping", "files"};
  return kNames[static_cast<int>(line)];
}

// As people read them in a table.
constexpr absl::string_view OutsideLineText(OutsideLine line) {
  constexpr absl::string_view kTexts[kOutsideLines] = {"libraries' code and data",
                                                       "libraries' heap at the start",
                                                       "code compiled at run time",
                                                       "thread stacks",
                                                       "own shared windows",
                                                       "peers' shared windows",
                                                       "other shared memory (MPI)",
                                                       "MKL's buffers",
                                                       "heap outside tensors",
                                                       "heap, idle",
                                                       "pool: headers and rounding",
                                                       "pool, idle",
                                                       "book-keeping",
                                                       "mapped files"};
  return kTexts[static_cast<int>(line)];
}

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_OUTSIDE_LINE_H_
