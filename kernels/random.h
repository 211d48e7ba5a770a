// Random numbers as a function of (key, index): no state, any part in any order by any thread gives the same bits.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#ifndef STOWAGE_KERNELS_RANDOM_H_
#define STOWAGE_KERNELS_RANDOM_H_

#include <cstdint>

namespace stowage::kernels {

// out[i] = mean + stddev * normal(key, first_index + i), i in [0, numel). Box-Muller.
void FillNormal(float* out, int64_t numel, uint64_t key, int64_t first_index, float mean, float stddev);

// out[i] = kept(key, i) ? in[i] / (1 - p) : 0, where kept is true with probability 1 - p. in may be out.
// Forward and backward are the same call, so nothing but the key is kept between them.
void Dropout(const float* in, float* out, int64_t numel, uint64_t key, float p);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_RANDOM_H_
