// What an attention holds at most, by the counting allocator: for tests and the benchmark.
#ifndef STOWAGE_TRAINER_MODEL_ATTENTION_PEAKS_H_
#define STOWAGE_TRAINER_MODEL_ATTENTION_PEAKS_H_

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>

#include "memory/counting_allocator.h"
#include "memory/ledger.h"

namespace stowage {

// The one ledger of a test's or benchmark's process.
inline Ledger& Books() {
  static Ledger* ledger = [] {
    auto* made = new Ledger;
    const absl::Status status = InstallCountingAllocator(made);
    if (!status.ok()) {
      std::cerr << status << "\n";
      std::abort();
    }
    return made;
  }();
  return *ledger;
}

// q, k, v -> out, [n, heads, t, head_dim] each.
using AttentionForm = std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>;

// The textbook's: scores and probabilities as whole tensors.
inline at::Tensor DenseAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  at::Tensor scores = q.matmul(k.transpose(2, 3)) * (1.0 / std::sqrt(static_cast<double>(q.size(3))));
  if (causal) {
    scores = scores.masked_fill(at::ones({q.size(2), k.size(2)}, at::kBool).tril().logical_not(), -INFINITY);
  }
  return scores.softmax(3).matmul(v);
}

// Bytes.
struct AttentionPeaks {
  int64_t forward = 0;           // most held during forward, without q, k and v: output included
  int64_t forward_in_all = 0;    // the same with q, k and v
  int64_t kept = 0;              // held after forward beside q, k, v and the output
  int64_t forward_backward = 0;  // most held by all of it: inputs, output, their gradients, what was kept, scratch
};

inline AttentionPeaks MeasureAttention(const AttentionForm& form, int64_t n, int64_t heads, int64_t t, int64_t head_dim,
                                       at::ScalarType dtype = at::kFloat) {
  Ledger& books = Books();
  const int64_t base = books.total_live();
  const auto input = [&] { return at::randn({n, heads, t, head_dim}, at::TensorOptions(dtype)).requires_grad_(true); };
  const at::Tensor q = input(), k = input(), v = input();
  const int64_t inputs = books.total_live() - base;
  books.ResetPeaks();
  AttentionPeaks peaks;
  at::Tensor out = form(q, k, v);
  peaks.forward_in_all = books.total_peak() - base;
  peaks.forward = peaks.forward_in_all - inputs;
  peaks.kept = books.total_live() - base - inputs - static_cast<int64_t>(out.nbytes());
  const at::Tensor dout = at::ones_like(out);
  const auto gradients = torch::autograd::grad({out}, {q, k, v}, {dout});
  peaks.forward_backward = books.total_peak() - base;
  return peaks;
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_ATTENTION_PEAKS_H_
