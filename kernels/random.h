// Random numbers as a function of (key, index): no state, any part in any order by any thread gives the same bits.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the counter's words are
// (i / 4 low, i / 4 high, stream, 0), word i % 4 of its result belongs to element i. Streams: 0 normals, 1 dropout, 2
// uniforms, so that one key may serve all.
//
// Bits do not depend on threads, position, vector width, CPU or libm: logarithm, sine and cosine are polynomials of
// our own (Cephes'), each product and sum rounded by itself.
// Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_RANDOM_H_
#define STOWAGE_KERNELS_RANDOM_H_

#include <cstdint>

namespace stowage::kernels {

// out[i] = mean + stddev * normal(key, first_index + i), i in [0, numel); first_index >= 0.
// Box-Muller in fp32 of 32-bit uniforms: |normal| <= 6.77.
void FillNormal(float* out, int64_t numel, uint64_t key, int64_t first_index, float mean, float stddev);

// out[i] = low + (high - low) * uniform(key, first_index + i), where uniform is in [0, 1), a multiple of 2^-24; where the
// sum is rounded to fp32, `high` itself may come out. Difference, product and sum are each rounded to fp32.
void FillUniform(float* out, int64_t numel, uint64_t key, int64_t first_index, float low, float high);

// out[i] = kept(key, first_index + i) ? in[i] / (1 - p) : 0, where kept is true with probability 1 - p (to 2^-32), also
// where in[i] is NaN or infinite. in may be out; otherwise they do not overlap. 0 <= p <= 1.
// Forward and backward are the same call, so nothing but the key is kept between them.
void Dropout(const float* in, float* out, int64_t numel, uint64_t key, float p, int64_t first_index = 0);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_RANDOM_H_
