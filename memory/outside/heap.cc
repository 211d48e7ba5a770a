#include "memory/outside/heap.h"

#include <dlfcn.h>
#include <malloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>

namespace stowage {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kArenaBytes = uint64_t{64} << 20;  // HEAP_MAX_SIZE: also the alignment

// Reads this process's memory by the kernel, which says no where a plain read would be a fault.
bool Peek(uint64_t address, void* to, size_t bytes) {
  const iovec local = {to, bytes};
  const iovec remote = {reinterpret_cast<void*>(address), bytes};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

// The start of a part of an arena, glibc's heap_info.
struct ArenaPart {
  uint64_t arena;
  uint64_t previous;
  uint64_t bytes;            // in use by the arena
  uint64_t committed_bytes;  // readable and writable
};

bool IsArena(const Mapping& mapping) {
  if (mapping.begin % kArenaBytes != 0 || mapping.end - mapping.begin > kArenaBytes) return false;
  ArenaPart part;
  if (!Peek(mapping.begin, &part, sizeof(part))) return false;
  const uint64_t size = mapping.end - mapping.begin;
  const bool first = part.previous == 0;
  // The first part holds the arena itself, right behind; a later one names an earlier part, at its own alignment.
  const bool points = first ? part.arena > mapping.begin && part.arena < mapping.begin + 256
                            : part.previous % kArenaBytes == 0 && part.arena % 16 == 0;
  return points && part.bytes > 0 && part.bytes <= part.committed_bytes && part.committed_bytes <= kArenaBytes &&
         part.committed_bytes >= size;
}

// One or more large blocks, each with pages of its own, one behind the other.
bool IsLargeBlocks(const Mapping& mapping) {
  constexpr uint64_t kIsMapped = 2, kFlags = 7;
  uint64_t at = mapping.begin;
  while (at < mapping.end) {
    uint64_t chunk[2];  // what alignment skipped (0 at a mapping's start), the size with flags
    if (!Peek(at, chunk, sizeof(chunk)) || chunk[0] != 0) return false;
    const uint64_t size = chunk[1] & ~kFlags;
    if ((chunk[1] & kFlags) != kIsMapped || size % kPageBytes != 0 || size == 0 || size > mapping.end - at)
      return false;
    at += size;
  }
  return true;
}

using MklMemoryStatistics = int64_t (*)(int*);

}  // namespace

HeapUse ReadHeapUse() {
  const struct mallinfo2 info = mallinfo2();
  HeapUse use;
  use.in_use_bytes = static_cast<int64_t>(info.uordblks + info.hblkhd);
  // mkl_mem_stat under the name that LibTorch's libraries export; not in any header of theirs, and not in every build.
  static const MklMemoryStatistics mkl =
      reinterpret_cast<MklMemoryStatistics>(dlsym(RTLD_DEFAULT, "mkl_serv_mem_stat"));
  int buffers = 0;
  if (mkl != nullptr) use.mkl_bytes = mkl(&buffers);
  return use;
}

bool IsMallocsMapping(const Mapping& mapping) {
  if (!mapping.anonymous() || !mapping.writable || mapping.executable || mapping.shared) return false;
  return IsArena(mapping) || IsLargeBlocks(mapping);
}

}  // namespace stowage
