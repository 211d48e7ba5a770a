#include "memory/pool/address_range.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace stowage {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

constexpr size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

absl::StatusOr<std::unique_ptr<AddressRange>> AddressRange::Reserve(size_t bytes, size_t least_bytes) {
  const size_t least = RoundUp(std::max(least_bytes, kHugePageBytes), kHugePageBytes);
  size_t wanted = std::max(RoundUp(bytes, kHugePageBytes), least);
  int error = 0;
  while (true) {
    const size_t mapping_bytes = wanted + kHugePageBytes;  // room to begin at a multiple of 2 MiB
    void* mapping = mmap(nullptr, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping != MAP_FAILED) {
      const uintptr_t first = reinterpret_cast<uintptr_t>(mapping);
      char* base = static_cast<char*>(mapping) + (RoundUp(first, kHugePageBytes) - first);
      return std::unique_ptr<AddressRange>(new AddressRange(static_cast<char*>(mapping), mapping_bytes, base, wanted));
    }
    error = errno;
    if (wanted == least) break;
    wanted = std::max(RoundUp(wanted / 2, kHugePageBytes), least);
  }
  return absl::ResourceExhaustedError(absl::StrCat("no address space for a memory pool: ", wanted,
                                                   " bytes asked of mmap, which says: ", std::strerror(error),
                                                   "; raise the limit on address space (ulimit -v)"));
}

AddressRange::~AddressRange() { munmap(mapping_, mapping_bytes_); }

size_t AddressRange::MakeUsable(size_t from, size_t to) {
  STOWAGE_CHECK(from % kHugePageBytes == 0 && from < to) << from << " to " << to;
  if (to > bytes_) return 0;
  const size_t end = std::min(RoundUp(to, kHugePageBytes), bytes_);
  if (mprotect(base_ + from, end - from, PROT_READ | PROT_WRITE) != 0) return 0;
  madvise(base_ + from, end - from, MADV_HUGEPAGE);  // refused where there are none: small pages then
  return end;
}

void AddressRange::Discard(size_t offset, size_t bytes) {
  STOWAGE_CHECK(offset % kPageBytes == 0 && bytes % kPageBytes == 0 && offset + bytes <= bytes_)
      << offset << " + " << bytes << " of " << bytes_;
  if (bytes > 0) madvise(base_ + offset, bytes, MADV_DONTNEED);
}

}  // namespace stowage
