// Which of Highway's targets our kernels are compiled for. Include it before anything of Highway's.
//
// On x86: AVX3 (AVX-512), AVX2 and, at the least, SSE4 with AES (Westmere, 2010). That is made the baseline: without
// it Highway's would be plain scalar code, in which operations on pairs of lanes do not exist.
// On Arm: NEON. Left out everywhere: SSSE3 and AVX3_DL, which would add compile time and no speed here; SVE and RVV,
// because our kernels keep vectors in arrays and structs, which needs a size known at compile time.
#ifndef STOWAGE_KERNELS_HIGHWAY_TARGETS_H_
#define STOWAGE_KERNELS_HIGHWAY_TARGETS_H_

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_SSE4
#endif

#endif  // STOWAGE_KERNELS_HIGHWAY_TARGETS_H_
