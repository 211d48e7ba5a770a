// CRC-32C (Castagnoli), the checksum of checkpoints, token shards and TensorBoard's event files.
//
// The polynomial is 0x1EDC6F41, as in iSCSI (RFC 3720, appendix B.4): CRC-32C of "123456789" is 0xE3069283. Intel's
// isa-l computes it with the machine's own instructions, several GB a second, so that a checksum costs less than the
// write it goes with. Thread-safe: no state.
#ifndef STOWAGE_BASE_CRC32C_H_
#define STOWAGE_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

// The checksum of A + B, where `crc_of_a` is the checksum of A (0 for nothing) and B is `bytes` bytes at `data`.
uint32_t ExtendCrc32c(uint32_t crc_of_a, const void* data, int64_t bytes);

inline uint32_t Crc32c(absl::string_view data) {
  return ExtendCrc32c(0, data.data(), static_cast<int64_t>(data.size()));
}

}  // namespace stowage

#endif  // STOWAGE_BASE_CRC32C_H_
