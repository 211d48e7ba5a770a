// Which addresses are known to be what, told by whoever made them: the pool, shared windows, book-keeping.
//
//   auto window = mmap(..., memfd, 0);
//   RegisteredRange range(RangeKind::kOwnWindow, window, bytes);   // for as long as it is mapped
//
// So memory/ learns of ranks' windows without knowing of ranks.
#ifndef STOWAGE_MEMORY_OUTSIDE_ADDRESS_RANGES_H_
#define STOWAGE_MEMORY_OUTSIDE_ADDRESS_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stowage {

enum class RangeKind : uint8_t {
  kTensors,      // where tensors' blocks come from: the pool, a planned arena
  kOwnWindow,    // shared memory that this process brought and pays for
  kPeerWindow,   // shared memory of a peer, mapped here too: its pages are the peer's
  kBookKeeping,  // mappings of our own that hold no tensors
};

struct AddressSpan {
  uint64_t begin = 0;
  uint64_t end = 0;
  RangeKind kind = RangeKind::kTensors;
};

// Known for as long as it lives. Ranges must not overlap (aborts). Thread-safe.
class RegisteredRange {
 public:
  // `bytes` are rounded up to whole pages. `begin` is the start of a page.
  RegisteredRange(RangeKind kind, const void* begin, size_t bytes);
  ~RegisteredRange();
  RegisteredRange(const RegisteredRange&) = delete;
  RegisteredRange& operator=(const RegisteredRange&) = delete;

 private:
  const uint64_t begin_;
};

// All that are registered, by address. Thread-safe.
std::vector<AddressSpan> RegisteredSpans();

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_ADDRESS_RANGES_H_
