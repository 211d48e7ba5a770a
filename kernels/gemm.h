// Matrix products of fp32, written into or added to a matrix that is there: C = op(A) op(B) + beta C.
//
// oneDNN's, and not LibTorch's: the wheel's products go to MKL, which on CPUs that are not Intel's takes a path without
// AVX-512 (measured on an AMD Zen 5, 2 cores: 187 GFLOP/s there, 340 to 430 here, at the shapes of a GPT).
//
// Same inputs, same thread count, same kind of CPU: same bits.
// Splits over the OpenMP team of the calling thread. Thread-safe.
#ifndef STOWAGE_KERNELS_GEMM_H_
#define STOWAGE_KERNELS_GEMM_H_

#include <cstdint>
#include <string>

namespace stowage::kernels {

enum class Transpose : bool { kNo = false, kYes = true };

// Row-major. op(A) is [m, k], op(B) is [k, n], C is [m, n] with rows `ldc` apart; `lda` and `ldb` are the row lengths
// of A and B as they are stored (A is [m, k], or [k, m] if transposed). beta 0: what C held, NaN included, does not
// matter. m, n or k may be 0.
void Gemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

// oneDNN's version as loaded: "2.6.3".
std::string GemmLibraryVersion();

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_GEMM_H_
