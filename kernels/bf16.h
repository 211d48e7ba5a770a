// One bf16 at a time, for plain loops and tests. Buffers: cast.h; vectors: bf16-inl.h. The same bits in all three.
#ifndef STOWAGE_KERNELS_BF16_H_
#define STOWAGE_KERNELS_BF16_H_

#include <cstdint>
#include <cstring>

namespace stowage::kernels {

inline float Bf16ToFp32(uint16_t bits16) {
  const uint32_t bits = static_cast<uint32_t>(bits16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// To nearest, ties to even; every NaN becomes 0x7fc0.
inline uint16_t Fp32ToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_BF16_H_
