#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace stowage {

uint32_t ExtendCrc32c(uint32_t crc_of_a, const void* data, int64_t bytes) {
  // isa-l counts in int and works on the register, which starts as all ones and is inverted at the end.
  constexpr int64_t kMostBytesACall = int64_t{1} << 30;
  auto* at = static_cast<unsigned char*>(const_cast<void*>(data));  // isa-l's signature; it only reads
  uint32_t state = ~crc_of_a;
  while (bytes > 0) {
    const int64_t chunk = std::min(bytes, kMostBytesACall);
    state = crc32_iscsi(at, static_cast<int>(chunk), state);
    at += chunk;
    bytes -= chunk;
  }
  return ~state;
}

}  // namespace stowage
