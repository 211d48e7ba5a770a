#include <cstdint>

#include "kernels/attention_unit.h"

namespace stowage::kernels::internal {
namespace {

// Hands out parts of a buffer one after the other, each at a vector's boundary.
class Layout {
 public:
  explicit Layout(float* base) : base_(base) {}
  float* Take(int64_t numel) {
    float* part = base_ == nullptr ? nullptr : base_ + numel_;
    numel_ += RoundUpToPad(numel);
    return part;
  }
  int64_t numel() const { return numel_; }

 private:
  float* const base_;
  int64_t numel_ = 0;
};

}  // namespace

ForwardScratch::ForwardScratch(const AttentionProblem& problem, float* base) {
  Layout layout(base);
  const int64_t width = problem.width(), columns = problem.columns();
  const int64_t queries = RoundUpToPad(problem.query_tile()), keys = problem.key_tile();
  q = layout.Take(width * columns);
  k = layout.Take(keys * width);
  v = layout.Take(keys * width);
  scores = layout.Take(keys * columns);
  out = layout.Take(queries * width);
  max = layout.Take(columns);
  sum = layout.Take(columns);
  rescale = layout.Take(columns);
  numel = layout.numel();
}

BackwardScratch::BackwardScratch(const AttentionProblem& problem, float* base) {
  Layout layout(base);
  const int64_t width = problem.width(), columns = problem.columns();
  const int64_t queries = RoundUpToPad(problem.query_tile()), keys = problem.key_tile();
  k = layout.Take(problem.shape.keys * width);
  v = layout.Take(problem.shape.keys * width);
  dk = layout.Take(problem.shape.keys * width);
  dv = layout.Take(problem.shape.keys * width);
  q = layout.Take(queries * width);
  dout = layout.Take(queries * width);
  dq = layout.Take(queries * width);
  q_columns = layout.Take(width * columns);
  dout_columns = layout.Take(width * columns);
  p = layout.Take(keys * columns);
  ds = layout.Take(keys * columns);
  log_sum_exp = layout.Take(columns);
  delta = layout.Take(columns);
  numel = layout.numel();
}

}  // namespace stowage::kernels::internal
