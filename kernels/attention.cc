#include "kernels/attention.h"

#include <atomic>

#include "absl/functional/function_ref.h"
#include "base/check.h"
#include "kernels/attention_unit.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

using internal::AttentionProblem;
using internal::BackwardScratch;
using internal::ForwardScratch;

AttentionProblem Problem(const AttentionShape& shape, const AttentionOptions& options) {
  STOWAGE_CHECK(shape.samples >= 0 && shape.heads > 0 && shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0 &&
                shape.queries >= 0 && shape.keys >= 0 && shape.head_dim > 0 && options.chunk > 0)
      << "samples " << shape.samples << " heads " << shape.heads << " kv_heads " << shape.kv_heads << " queries "
      << shape.queries << " keys " << shape.keys << " head_dim " << shape.head_dim << " chunk " << options.chunk;
  AttentionProblem problem;
  problem.shape = shape;
  problem.options = options;
  return problem;
}

// Workers take units one by one: who does one does not matter to its bits, and where units differ in length (causal)
// or cores in speed, none waits long.
void Work(int64_t units, int64_t workers, int64_t scratch_numel, float* scratch,
          absl::FunctionRef<void(int64_t, float*)> unit) {
  std::atomic<int64_t> next{0};
  ParallelFor(workers, /*grain=*/1, /*multiple=*/1, [&](int64_t begin, int64_t) {
    for (int64_t i = next++; i < units; i = next++) unit(i, scratch + begin * scratch_numel);
  });
}

}  // namespace

int64_t AttentionForwardScratchNumel(const AttentionShape& shape, const AttentionOptions& options) {
  return ForwardScratch(Problem(shape, options), nullptr).numel;
}

int64_t AttentionBackwardScratchNumel(const AttentionShape& shape, const AttentionOptions& options) {
  return BackwardScratch(Problem(shape, options), nullptr).numel;
}

int64_t AttentionForwardMaxWorkers(const AttentionShape& shape, const AttentionOptions& options) {
  return shape.samples * shape.heads * Problem(shape, options).query_tiles();
}

int64_t AttentionBackwardMaxWorkers(const AttentionShape& shape) { return shape.samples * shape.kv_heads; }

void AttentionForward(const AttentionShape& shape, const AttentionOptions& options, DType dtype, ConstAttentionTensor q,
                      ConstAttentionTensor k, ConstAttentionTensor v, const AttentionMask& mask, AttentionTensor out,
                      float* log_sum_exp, float* scratch, int64_t workers) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "dtype " << DTypeName(dtype);
  STOWAGE_CHECK(workers > 0) << "workers " << workers;
  AttentionProblem problem = Problem(shape, options);
  problem.dtype = dtype;
  problem.q = q;
  problem.k = k;
  problem.v = v;
  problem.mask = mask;
  problem.written_out = out;
  problem.written_log_sum_exp = log_sum_exp;
  if (Dry()) return;
  Work(AttentionForwardMaxWorkers(shape, options), workers, ForwardScratch(problem, nullptr).numel, scratch,
       [&](int64_t unit, float* own) { internal::ForwardUnit(problem, unit, own); });
}

void AttentionBackward(const AttentionShape& shape, const AttentionOptions& options, DType dtype,
                       ConstAttentionTensor q, ConstAttentionTensor k, ConstAttentionTensor v,
                       const AttentionMask& mask, ConstAttentionTensor out, const float* log_sum_exp,
                       ConstAttentionTensor dout, const AttentionGradients& gradients, float* scratch,
                       int64_t workers) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "dtype " << DTypeName(dtype);
  STOWAGE_CHECK(workers > 0) << "workers " << workers;
  AttentionProblem problem = Problem(shape, options);
  problem.dtype = dtype;
  problem.q = q;
  problem.k = k;
  problem.v = v;
  problem.mask = mask;
  problem.out = out;
  problem.log_sum_exp = log_sum_exp;
  problem.dout = dout;
  problem.gradients = gradients;
  if (Dry()) return;
  Work(AttentionBackwardMaxWorkers(shape), workers, BackwardScratch(problem, nullptr).numel, scratch,
       [&](int64_t unit, float* own) { internal::BackwardUnit(problem, unit, own); });
}

}  // namespace stowage::kernels
