// Matrix products, written into or added to a matrix that is there: C = op(A) op(B) + beta C, of fp32 or of bf16.
//
// oneDNN's, and not LibTorch's: the wheel's fp32 products go to MKL, which on CPUs that are not Intel's takes a path
// without AVX-512 (measured on an AMD Zen 5, 2 cores: 187 GFLOP/s there, 340 to 430 here, at the shapes of a GPT), and
// its bf16 products cannot be added to an fp32 matrix.
//
// Same inputs, same thread count, same kind of CPU: same bits.
// Splits over the OpenMP team of the calling thread (inside a parallel region: one thread). Thread-safe.
#ifndef STOWAGE_KERNELS_GEMM_H_
#define STOWAGE_KERNELS_GEMM_H_

#include <cstdint>
#include <string>

#include "base/dtype.h"

namespace stowage::kernels {

enum class Transpose : bool { kNo = false, kYes = true };

// Row-major. op(A) is [m, k], op(B) is [k, n], C is [m, n] with rows `ldc` apart; `lda` and `ldb` are the row lengths
// of A and B as they are stored (A is [m, k], or [k, m] if transposed). beta 0: what C held, NaN included, does not
// matter. m, n or k may be 0.
void Gemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

// A and B are bf16, products are summed in fp32. C is fp32 (beta 0 or 1), or bf16, rounded once (beta 0): other pairs
// of `c_dtype` and `beta` are a bug of the caller's. Otherwise as Gemm(). Any alignment that the elements have.
//
// CPUs with AVX512-BF16 multiply twice as fast as in fp32. Where oneDNN has no bf16 (below AVX-512), it works through
// fp32 copies of blocks, a little slower than Gemm(). A shape's first call compiles it (0.2 to 3 ms). Keeps
// scratch memory per calling thread: up to 16 MiB, or C's size in fp32 where C is bf16 and rows of A, B or C lie
// further apart than they are long.
void GemmBf16(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const void* a, int64_t lda,
              const void* b, int64_t ldb, float beta, void* c, int64_t ldc, DType c_dtype);

// What this process has multiplied so far, all threads together, as 2 m n k a product, by the type of A and B. Counted
// when a product is called, in relaxed atomics: a caller that takes differences sees its own thread's calls, and of
// others' what happens to be in. Wraps in some years.
struct GemmFlops {
  int64_t fp32 = 0;
  int64_t bf16 = 0;
};
GemmFlops CountedGemmFlops();

// oneDNN's version as loaded: "2.6.3".
std::string GemmLibraryVersion();

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_GEMM_H_
