#include "memory/pool/small_blocks.h"

#include <algorithm>

#include "base/check.h"

namespace stowage {
namespace {

// Whole pages, at least 8 KiB, so that the smallest come by the hundred, and at least two blocks: a step has only a
// few of the largest sizes, and what a span holds beyond them lies idle. Then as few pages more as leave at most an
// eighth of the span as a tail that holds no whole block.
int64_t SpanPages(size_t block_bytes) {
  constexpr size_t kPage = AddressRange::kPageBytes;
  size_t pages = (std::max<size_t>(2 * block_bytes, size_t{8} << 10) + kPage - 1) / kPage;
  while (pages * kPage % block_bytes > pages * kPage / 8) ++pages;
  return static_cast<int64_t>(pages);
}

}  // namespace

SmallBlocks::SmallBlocks(size_t block_bytes, PageHeap* pages)
    : block_bytes_(block_bytes),
      span_pages_(SpanPages(block_bytes)),
      blocks_per_span_(static_cast<int>(span_pages_ * AddressRange::kPageBytes / block_bytes)),
      pages_(pages) {}

FreeBlock* SmallBlocks::Take(int count, int* taken) {
  FreeBlock* list = nullptr;
  *taken = 0;
  while (*taken < count) {
    if (with_room_.empty()) {
      char* run = pages_->Allocate(span_pages_);
      if (run == nullptr) break;
      const int64_t first = pages_->PageOf(run);
      Span span;
      for (int i = blocks_per_span_; i-- > 0;) {
        FreeBlock* block = reinterpret_cast<FreeBlock*>(run + i * block_bytes_);
        block->next = span.free;
        span.free = block;
      }
      with_room_.push_front(first);
      span.place = with_room_.begin();
      spans_.emplace(first, span);
      for (int64_t page = first; page < first + span_pages_; ++page) span_of_page_[page] = first;
    }
    Span& span = spans_.at(with_room_.front());
    while (*taken < count && span.free != nullptr) {
      FreeBlock* block = span.free;
      span.free = block->next;
      ++span.used;
      block->next = list;
      list = block;
      ++*taken;
    }
    if (span.free == nullptr) with_room_.pop_front();
  }
  return list;
}

void SmallBlocks::Give(FreeBlock* blocks) {
  while (blocks != nullptr) {
    FreeBlock* const block = blocks;
    blocks = block->next;
    const auto page = span_of_page_.find(pages_->PageOf(block));
    STOWAGE_CHECK(page != span_of_page_.end()) << "a block of " << block_bytes_ << " bytes that is none";
    const int64_t first = page->second;
    Span& span = spans_.at(first);
    if (span.free == nullptr) {
      with_room_.push_back(first);  // behind those that were being filled
      span.place = std::prev(with_room_.end());
    }
    block->next = span.free;
    span.free = block;
    STOWAGE_CHECK(span.used > 0) << "freed twice";
    if (--span.used > 0) continue;
    char* run = reinterpret_cast<char*>(block);
    run -= (pages_->PageOf(block) - first) * static_cast<int64_t>(AddressRange::kPageBytes);
    run -= reinterpret_cast<uintptr_t>(run) % AddressRange::kPageBytes;
    with_room_.erase(span.place);
    spans_.erase(first);
    for (int64_t p = first; p < first + span_pages_; ++p) span_of_page_.erase(p);
    pages_->Free(run, span_pages_);
  }
}

}  // namespace stowage
