// Attention's multiplications a second, and the most bytes it holds: ours, LibTorch's fused form and the dense one.
//
//   bazel-bin/trainer/model/attention_benchmark --benchmark_min_time=0.3
//
// Causal self-attention of packed rows, as in a layer of GPT-2. FLOPs are those that the method needs, whatever a form
// spends: two products forward and five backward over the scores that a query may see (t * (t + 1) / 2), 2 FLOPs a
// multiply-add. peak_MB: 10^6 bytes that one call of forward and backward holds at most with its inputs and gradients.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "benchmark/benchmark.h"
#include "trainer/model/attention_peaks.h"
#include "trainer/model/ops/attention.h"

namespace stowage {
namespace {

enum Form { kChunked, kFused, kDense };

at::Tensor Run(Form form, const at::Tensor& qkv, int64_t heads) {
  ops::AttentionOptions options;
  options.causal = true;
  options.kind = form == kFused ? ops::AttentionKind::kFused : ops::AttentionKind::kChunked;
  if (form != kDense) return ops::SelfAttention(qkv, heads, heads, options);
  const auto parts = qkv.unflatten(2, {3 * heads, -1}).transpose(1, 2).chunk(3, 1);
  return DenseAttention(parts[0], parts[1], parts[2], /*causal=*/true).transpose(1, 2).flatten(2);
}

// Arguments: samples, heads, tokens, head_dim, threads.
template <Form form, at::ScalarType dtype, bool backward>
void BM_Attention(benchmark::State& state) {
  Ledger& books = Books();
  const int64_t n = state.range(0), heads = state.range(1), t = state.range(2), d = state.range(3);
  at::set_num_threads(static_cast<int>(state.range(4)));
  const int64_t base = books.total_live();
  const at::Tensor qkv = at::randn({n, t, 3 * heads * d}).to(dtype).requires_grad_(backward);
  const at::Tensor dout = at::randn({n, t, heads * d}).to(dtype);
  books.ResetPeaks();
  for (auto _ : state) {
    const at::Tensor out = Run(form, qkv, heads);
    if (backward) benchmark::DoNotOptimize(torch::autograd::grad({out}, {qkv}, {dout}));
  }
  state.counters["peak_MB"] = static_cast<double>(books.total_peak() - base) / 1e6;
  const double multiply_adds = (backward ? 7.0 : 2.0) * static_cast<double>(n * heads * t * (t + 1) / 2 * d);
  state.counters["FLOPS"] = benchmark::Counter(2.0 * multiply_adds, benchmark::Counter::kIsIterationInvariantRate);
}

void Shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "heads", "t", "d", "threads"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (int threads : {1, 2}) {
    b->Args({16, 6, 256, 64, threads});
    b->Args({4, 12, 512, 64, threads});
    b->Args({4, 12, 1024, 64, threads});
    b->Args({1, 12, 2048, 64, threads});
    b->Args({1, 4, 4096, 64, threads});
    b->Args({2, 8, 1024, 128, threads});
  }
}

#define STOWAGE_ATTENTION_BENCHMARKS(dtype)                       \
  BENCHMARK(BM_Attention<kChunked, dtype, false>)->Apply(Shapes); \
  BENCHMARK(BM_Attention<kFused, dtype, false>)->Apply(Shapes);   \
  BENCHMARK(BM_Attention<kChunked, dtype, true>)->Apply(Shapes);  \
  BENCHMARK(BM_Attention<kFused, dtype, true>)->Apply(Shapes);    \
  BENCHMARK(BM_Attention<kDense, dtype, true>)->Args({16, 6, 256, 64, 1})->Args({4, 12, 1024, 64, 1})->UseRealTime()

STOWAGE_ATTENTION_BENCHMARKS(at::kFloat);
STOWAGE_ATTENTION_BENCHMARKS(at::kBFloat16);

}  // namespace
}  // namespace stowage
