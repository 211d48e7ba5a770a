#include "kernels/cast_in_place.h"

#include <algorithm>
#include <cstring>

#include "kernels/cast.h"
#include "kernels/dry.h"

namespace stowage::kernels {
namespace {

// So many go through the stack, where ranges would be shorter than a vector.
constexpr int64_t kFewNumel = 64;

}  // namespace

void NarrowToBf16InPlace(void* buffer, int64_t numel) {
  if (Dry()) return;
  float* const from = static_cast<float*>(buffer);
  uint16_t* const to = static_cast<uint16_t*>(buffer);
  const int64_t few = std::min(numel, kFewNumel);
  uint16_t first[kFewNumel];
  CastFp32ToBf16(from, first, few);
  std::memcpy(to, first, few * sizeof(first[0]));
  // [begin, end) is written where [begin / 2, begin) was read from, since end <= 2 * begin.
  for (int64_t begin = few; begin < numel;) {
    const int64_t end = std::min(numel, 2 * begin);
    CastFp32ToBf16(from + begin, to + begin, end - begin);
    begin = end;
  }
}

void WidenFromBf16InPlace(void* buffer, int64_t begin, int64_t numel) {
  if (Dry()) return;
  const uint16_t* const from = static_cast<const uint16_t*>(buffer);
  float* const to = static_cast<float*>(buffer);
  int64_t end = begin + numel;
  // From the end, so that what is written over has been read.
  while (end > std::max(begin, kFewNumel)) {
    const int64_t first = std::max(begin, (end + 1) / 2);
    CastBf16ToFp32(from + first, to + first, end - first);
    end = first;
  }
  if (begin >= end) return;
  uint16_t few[kFewNumel];
  std::memcpy(few, from + begin, (end - begin) * sizeof(few[0]));
  CastBf16ToFp32(few, to + begin, end - begin);
}

}  // namespace stowage::kernels
