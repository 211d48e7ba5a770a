// fp32 to and from 16-bit floats, over flat buffers.
//
// bf16 and fp16 are kept as uint16_t, the bits that files, wires and LibTorch have. Rounded to nearest, ties to even,
// subnormals included; beyond the largest becomes infinity; every NaN becomes 0x7fc0 (bf16) or a NaN (fp16). That way
// back is exact. An element's bits depend on its value alone.
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_CAST_H_
#define STOWAGE_KERNELS_CAST_H_

#include <cstdint>

namespace stowage::kernels {

// `from`, `to`: [numel], any alignment that the element has, not overlapping.
void CastFp32ToBf16(const float* from, uint16_t* to, int64_t numel);
void CastBf16ToFp32(const uint16_t* from, float* to, int64_t numel);
void CastFp32ToFp16(const float* from, uint16_t* to, int64_t numel);
void CastFp16ToFp32(const uint16_t* from, float* to, int64_t numel);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_CAST_H_
