// The k values of largest magnitude, with their places; and such picks of several ranks added up to a dense buffer.
//
// Magnitudes are compared as bits, without the sign: a total order in which infinity comes after every number and NaN
// after infinity. So the choice is a function of the bits alone, and what is not finite is always among the picks. Of
// equal magnitudes the first ones are taken.
//
// Source: radix selection by counts of digits (Alabi et al., "Fast k-selection algorithms for graphics processing
// units", ACM JEA 17, 2012). Three passes count 11, 10 and 10 bits of what is still in question, from the highest on,
// until the k-th magnitude is known; a fourth collects. No memory but 32 KiB of stack, time that does not depend on k.
// ATen's topk takes an index and a copy of every element and partly sorts them.
//
// On one thread and without LibTorch, so that a communication thread may call it; whoever has several buffers can deal
// them to threads. Highway, dispatched at run time. Thread-safe: no state.
#ifndef STOWAGE_KERNELS_TOP_K_H_
#define STOWAGE_KERNELS_TOP_K_H_

#include <cstdint>

#include "absl/types/span.h"

namespace stowage::kernels {

// Beyond it a place does not fit its 32 bits.
inline constexpr int64_t kMostTopKNumel = (int64_t{1} << 32) - 1;

// values: [numel] fp32, 0 <= k <= numel <= kMostTopKNumel. Writes `places` [k], ascending, and `picked` [k], the values
// that are there, with their bits.
void TopK(const float* values, int64_t numel, int64_t k, uint32_t* places, float* picked);

// Makes values[places[j]] negative zero for j in [0, k). It is what changes no bit of what it is added to; positive
// zero does: of -0.
void ClearPlaces(const uint32_t* places, int64_t k, float* values);

// What one of several brings.
struct Picks {
  const uint32_t* places = nullptr;  // [k], ascending, each below numel
  const float* values = nullptr;     // [k]
};

// out [numel] becomes the sum of what all bring, in their order: ((a + b) + c). Where nobody brings anything it becomes
// negative zero. With k = numel it has the bits of SumInOrder (accumulate.h). Each brings `k` of them. Places out of
// order or beyond numel are a bug of the caller's; nothing is written outside `out`.
void SumPicks(absl::Span<const Picks> all, int64_t k, float* out, int64_t numel);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_TOP_K_H_
