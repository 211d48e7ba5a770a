#include "kernels/gemm.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/gemm_internal.h"
#include "kernels/packing.h"

namespace stowage::kernels {
namespace {

std::atomic<int64_t> fp32_flops{0};
std::atomic<int64_t> bf16_flops{0};

}  // namespace

void CountGemmFlops(DType dtype, int64_t m, int64_t n, int64_t k) {
  NotePacking(m, n, k, omp_in_parallel() ? 1 : omp_get_max_threads());
  (dtype == DType::kFloat32 ? fp32_flops : bf16_flops).fetch_add(2 * m * n * k, std::memory_order_relaxed);
}

GemmFlops CountedGemmFlops() {
  return {fp32_flops.load(std::memory_order_relaxed), bf16_flops.load(std::memory_order_relaxed)};
}

void UncountedGemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
                   int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  BeforeProduct(m, n, k);
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a == Transpose::kYes ? 'T' : 'N', transpose_b == Transpose::kYes ? 'T' : 'N', m, n, k, 1.0f,
                 a, lda, b, ldb, beta, c, ldc);
  // Only wrong arguments fail here: those are ours.
  STOWAGE_CHECK(status == dnnl_success) << "dnnl_sgemm " << status << " m " << m << " n " << n << " k " << k << " lda "
                                        << lda << " ldb " << ldb << " ldc " << ldc;
}

void Gemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  CountGemmFlops(DType::kFloat32, m, n, k);
  if (Dry()) return;
  if (k == 0) {  // oneDNN leaves C alone then, even with beta 0
    for (int64_t row = 0; row < m; ++row) {
      std::transform(c + row * ldc, c + row * ldc + n, c + row * ldc,
                     [&](float x) { return beta == 0 ? 0 : beta * x; });
    }
    return;
  }
  UncountedGemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

std::string GemmLibraryVersion() {
  const dnnl_version_t& version = *dnnl_version();
  return absl::StrCat(version.major, ".", version.minor, ".", version.patch);
}

}  // namespace stowage::kernels
