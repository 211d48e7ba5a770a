// Bytes as people write them: "6GiB", "512 MiB", "1.5GB", "4096".
//
// Binary units (KiB, MiB, GiB, TiB, PiB) are powers of 1024, decimal ones (kB, MB, GB, TB, PB) of 1000. "6G" is
// refused: programs disagree on what it means. Thread-safe: no state.
#ifndef STOWAGE_BASE_BYTE_SIZE_H_
#define STOWAGE_BASE_BYTE_SIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

// Whole bytes, fractions of a byte cut off ("1.5GB", "0.3KiB"). Letters may be of either case; one space may stand
// before the unit. InvalidArgument: no number, no such unit, negative, a fraction of "B", or 2^63 and above.
absl::StatusOr<int64_t> ParseByteSize(absl::string_view text);

// Exact, for files: the largest binary unit that divides it ("6GiB", "1536MiB", "1500000000").
// ParseByteSize(ExactByteSize(n)) == n for every n >= 0.
std::string ExactByteSize(int64_t bytes);

// For people, rounded to one decimal: "7.2 GiB", "512 MiB", "900 B". Negative values keep their sign.
std::string HumanByteSize(int64_t bytes);

}  // namespace stowage

#endif  // STOWAGE_BASE_BYTE_SIZE_H_
