// fp32 to bf16 and back within one buffer, so that what goes over a wire as bf16 needs no bytes besides.
//
// The bits of cast.h, whose loops it is made of: ranges that double in length do not overlap what they are written to.
// Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_CAST_IN_PLACE_H_
#define STOWAGE_KERNELS_CAST_IN_PLACE_H_

#include <cstdint>

namespace stowage::kernels {

// buffer: fp32 [numel], 4-byte aligned, becomes bf16 [numel], which lie at its beginning; the other half is any bytes.
void NarrowToBf16InPlace(void* buffer, int64_t numel);

// The way back for a part: elements [begin, begin + numel) of the bf16 that lie at the beginning of `buffer` become
// fp32, where elements with these numbers lie in an fp32 buffer. All other bytes become anything.
void WidenFromBf16InPlace(void* buffer, int64_t begin, int64_t numel);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_CAST_IN_PLACE_H_
