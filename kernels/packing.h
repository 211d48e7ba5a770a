// What oneDNN packs fp32 products into: memory that it takes from malloc, and that no ledger sees.
#ifndef STOWAGE_KERNELS_PACKING_H_
#define STOWAGE_KERNELS_PACKING_H_

#include <cstdint>

namespace stowage::kernels {

// Bytes that a product [m, k] x [k, n] takes while it runs on `threads` threads: a copy of blocks of our B that all
// threads share, and one of blocks of our A for each. At least what is taken, and exact where it was looked at.
//
// Source: oneDNN 2.6.3, src/cpu/x64/gemm/gemm_driver.cpp (parallel_a_copy, gemm_kernel_driver) with the block sizes of
// gemm_info.cpp for AVX-512; with AVX2 blocks are no larger. Row-major products are column-major ones with A and B
// exchanged.
int64_t PackingBytes(int64_t m, int64_t n, int64_t k, int threads);

// The most that a product of this process has taken since the last reset, or in a dry run would have. Thread-safe.
int64_t LargestPackingBytes();
void ResetLargestPackingBytes();

// A product is about to run. For Gemm and GemmBf16, whose blocks of bf16 are half the size.
void NotePacking(int64_t m, int64_t n, int64_t k, int threads);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_PACKING_H_
