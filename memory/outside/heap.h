// malloc's view of itself, and where its memory lies.
//
// Works with glibc's malloc. What another one (an LD_PRELOAD) holds shows as unexplained.
#ifndef STOWAGE_MEMORY_OUTSIDE_HEAP_H_
#define STOWAGE_MEMORY_OUTSIDE_HEAP_H_

#include <cstdint>
#include <vector>

#include "memory/outside/smaps.h"

namespace stowage {

struct HeapUse {
  int64_t in_use_bytes = 0;  // in blocks, of all arenas and of blocks with mappings of their own (mallinfo2)
  int64_t mkl_bytes = 0;     // of these, held by MKL's allocator; 0 too where LibTorch has no MKL
};

// Takes malloc's locks one after the other: some microseconds, more with many free blocks. Thread-safe.
HeapUse ReadHeapUse();

// Whether an anonymous mapping of this process is malloc's: an arena of a thread, or large blocks with a mapping of
// their own. Told by what malloc keeps at their start, read through the kernel: a mapping that has gone meanwhile is no
// fault. Source: glibc's malloc/arena.c (heap_info) and malloc.c (mmapped chunks), the same from 2.26 to 2.40.
bool IsMallocsMapping(const Mapping& mapping);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_HEAP_H_
