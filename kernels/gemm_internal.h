// What gemm.cc and gemm_bf16.cc share. Not for others.
#ifndef STOWAGE_KERNELS_GEMM_INTERNAL_H_
#define STOWAGE_KERNELS_GEMM_INTERNAL_H_

#include <cstdint>

#include "base/dtype.h"
#include "kernels/gemm.h"
#include "kernels/heap_holes.h"

namespace stowage::kernels {

// Adds 2 m n k to what CountedGemmFlops says of `dtype` (kFloat32 or kBFloat16), and notes what is packed.
void CountGemmFlops(DType dtype, int64_t m, int64_t n, int64_t k);

// Before oneDNN multiplies: see kernels/heap_holes.h. Small products take small buffers, and would feel the time.
inline void BeforeProduct(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kSmall = int64_t{1} << 22;  // multiply-adds: some twenty microseconds
  if (m * n * k >= kSmall) KeepHeapHolesWhole();
}

// Gemm() that is not counted, for k > 0.
void UncountedGemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
                   int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_GEMM_INTERNAL_H_
