// A range of addresses, reserved once; bytes come and go inside it.
//
// Reserving costs no memory: pages take some when they are first written. What is given back with Discard is really
// gone from the process (its RSS falls), and the addresses stay.
//
// Source: the reserve-and-commit scheme of Windows' VirtualAlloc and of CUDA's virtual memory management, here with
// mmap(PROT_NONE), mprotect and madvise.
// Not thread-safe, except that ranges that do not overlap may be used and discarded at once.
#ifndef STOWAGE_MEMORY_POOL_ADDRESS_RANGE_H_
#define STOWAGE_MEMORY_POOL_ADDRESS_RANGE_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

class AddressRange {
 public:
  static constexpr size_t kPageBytes = 4096;

  // Reserves `bytes`, or less where the process may not (RLIMIT_AS): halved until it works, at least `least_bytes`.
  // Both are rounded up to 2 MiB, and so is the base. ResourceExhausted: not even that, with the system's words.
  static absl::StatusOr<std::unique_ptr<AddressRange>> Reserve(size_t bytes, size_t least_bytes);
  ~AddressRange();
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  char* base() const { return base_; }
  size_t bytes() const { return bytes_; }

  // From here on [base + from, base + to) may be read and written, and the rest of the last 2 MiB; what was usable
  // stays so. `from` is a multiple of 2 MiB. Returns where the usable part ends, 0 if the system refuses (RLIMIT_DATA,
  // overcommit) or the range is shorter. Asks for huge pages; a system that has none is no error.
  size_t MakeUsable(size_t from, size_t to);

  // Gives whole usable pages back to the system. They read as zeros afterwards. Offsets are multiples of kPageBytes.
  void Discard(size_t offset, size_t bytes);

 private:
  AddressRange(char* mapping, size_t mapping_bytes, char* base, size_t bytes)
      : mapping_(mapping), mapping_bytes_(mapping_bytes), base_(base), bytes_(bytes) {}

  char* const mapping_;
  const size_t mapping_bytes_;
  char* const base_;
  const size_t bytes_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_ADDRESS_RANGE_H_
