// Blocks of one small size, cut from runs of pages ("spans") and handed out by the batch.
//
// A span whose blocks have all come back goes back to the page heap; partly used ones are filled first, the fullest
// first known, so that the others can empty. Threads come here only when their cache is empty or full.
//
// Source of the scheme: tcmalloc's central free list (Ghemawat and Menage, "TCMalloc: Thread-Caching Malloc").
// Not thread-safe: the pool has the lock.
#ifndef STOWAGE_MEMORY_POOL_SMALL_BLOCKS_H_
#define STOWAGE_MEMORY_POOL_SMALL_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "memory/pool/page_heap.h"

namespace stowage {

// A free block's first bytes point to the next one.
struct FreeBlock {
  FreeBlock* next;
};

class SmallBlocks {
 public:
  // Blocks of `block_bytes`, from `pages`, which must outlive this.
  SmallBlocks(size_t block_bytes, PageHeap* pages);

  // Up to `count` blocks as a list; `taken` says how many. Null: no memory for a single one.
  FreeBlock* Take(int count, int* taken);
  // Blocks of Take, as a list.
  void Give(FreeBlock* blocks);

  int64_t span_pages() const { return span_pages_; }
  int64_t spans() const { return static_cast<int64_t>(spans_.size()); }

 private:
  struct Span {
    FreeBlock* free = nullptr;
    int used = 0;
    std::list<int64_t>::iterator place;  // in with_room_, if it has room
  };

  const size_t block_bytes_;
  const int64_t span_pages_;
  const int blocks_per_span_;
  PageHeap* const pages_;
  std::unordered_map<int64_t, Span> spans_;            // by first page
  std::unordered_map<int64_t, int64_t> span_of_page_;  // every page of a span -> the span's first page
  std::list<int64_t> with_room_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_SMALL_BLOCKS_H_
