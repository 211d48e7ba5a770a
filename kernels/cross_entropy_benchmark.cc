// The loss of 256 rows of GPT-2's vocabulary, and its gradient. Bytes: logits read and the gradient written, once.
#include <ATen/core/Tensor.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/full.h>
#include <ATen/ops/nll_loss_backward.h>
#include <ATen/ops/nll_loss_forward.h>

#include "benchmark/benchmark.h"
#include "kernels/benchmark_util.h"
#include "kernels/cross_entropy.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kRows = 256, kClasses = 50257, kIgnored = -100;
constexpr int64_t kSum = 2;  // at::Reduction::Sum

// Gradients are left where logits were: the next iteration takes them for logits, which costs the same.
void BM_CrossEntropy(benchmark::State& state) {
  SetThreads(state);
  const at::Tensor logits = RandomBuffer({kRows, kClasses}), targets = at::full({kRows}, 7, at::kLong);
  for (auto _ : state) {
    benchmark::DoNotOptimize(CrossEntropy(logits.data_ptr<float>(), targets.data_ptr<int64_t>(), kRows, kClasses,
                                          kIgnored, /*with_gradient=*/true));
  }
  SetBytes(state, kRows * kClasses * 8);
}

void BM_CrossEntropyLossOnly(benchmark::State& state) {
  SetThreads(state);
  const at::Tensor logits = RandomBuffer({kRows, kClasses}), targets = at::full({kRows}, 7, at::kLong);
  for (auto _ : state) {
    benchmark::DoNotOptimize(CrossEntropy(logits.data_ptr<float>(), targets.data_ptr<int64_t>(), kRows, kClasses,
                                          kIgnored, /*with_gradient=*/false));
  }
  SetBytes(state, kRows * kClasses * 4);
}

void BM_CrossEntropyBf16Gradient(benchmark::State& state) {
  SetThreads(state);
  const at::Tensor logits = RandomBuffer({kRows, kClasses}), targets = at::full({kRows}, 7, at::kLong);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        CrossEntropyBf16Gradient(logits.data_ptr<float>(), targets.data_ptr<int64_t>(), kRows, kClasses, kIgnored));
  }
  SetBytes(state, kRows * kClasses * 6);
}

void Atens(benchmark::State& state, bool with_gradient, bool bf16) {
  SetThreads(state);
  const at::Tensor logits = RandomBuffer({kRows, kClasses}), targets = at::full({kRows}, 7, at::kLong);
  const at::Tensor one = at::full({}, 1.0f, at::kFloat);
  for (auto _ : state) {
    const at::Tensor log_softmax = at::_log_softmax(logits, 1, false);
    const auto [loss, weight] = at::nll_loss_forward(log_softmax, targets, {}, kSum, kIgnored);
    if (!with_gradient) continue;
    const at::Tensor gradient = at::nll_loss_backward(one, log_softmax, targets, {}, kSum, kIgnored, weight);
    at::Tensor result = at::_log_softmax_backward_data(gradient, log_softmax, 1, at::kFloat);
    if (bf16) result = result.to(at::kBFloat16);
    benchmark::DoNotOptimize(result);
  }
  SetBytes(state, kRows * kClasses * (with_gradient ? (bf16 ? 6 : 8) : 4));
}
void BM_AtenCrossEntropy(benchmark::State& state) { Atens(state, true, false); }
void BM_AtenCrossEntropyLossOnly(benchmark::State& state) { Atens(state, false, false); }
void BM_AtenCrossEntropyBf16Gradient(benchmark::State& state) { Atens(state, true, true); }

STOWAGE_BENCHMARK(BM_CrossEntropy);
STOWAGE_BENCHMARK(BM_AtenCrossEntropy);
STOWAGE_BENCHMARK(BM_CrossEntropyLossOnly);
STOWAGE_BENCHMARK(BM_AtenCrossEntropyLossOnly);
STOWAGE_BENCHMARK(BM_CrossEntropyBf16Gradient);
STOWAGE_BENCHMARK(BM_AtenCrossEntropyBf16Gradient);

}  // namespace
}  // namespace stowage::kernels
