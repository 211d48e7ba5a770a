// Bytes a second of each kernel, beside ATen's where it has the same, and beside memcpy, which is what memory gives.
//
//   bazel-bin/kernels/kernels_benchmark --benchmark_min_time=0.3
//
// Bytes are those that the method must move: each buffer read or written, once. Buffers are 64 MiB each, beyond any
// cache, except where the name ends in Cached.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/native_dropout.h>

#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "benchmark/benchmark.h"
#include "kernels/accumulate.h"
#include "kernels/adamw.h"
#include "kernels/norm.h"
#include "kernels/parallel.h"
#include "kernels/random.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kNumel = int64_t{16} << 20;

at::Tensor Buffer(float value, int64_t numel = kNumel) { return at::full({numel}, value, at::kFloat); }

// The thread count is the benchmark's argument.
void SetThreads(const benchmark::State& state) { at::set_num_threads(static_cast<int>(state.range(0))); }

void SetBytes(benchmark::State& state, int64_t bytes_an_iteration) {
  state.SetBytesProcessed(state.iterations() * bytes_an_iteration);
}

void BM_Memcpy(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = Buffer(1.0f), to = Buffer(2.0f);
  for (auto _ : state) {
    ParallelFor(kNumel, 16384, 16, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data_ptr<float>() + begin, from.data_ptr<float>() + begin, (end - begin) * sizeof(float));
    });
  }
  SetBytes(state, 2 * kNumel * 4);
}

// Parameter and two moments read and written, gradient read: 28 bytes an element.
constexpr int64_t kAdamWBytes = 28;

void RunAdamW(benchmark::State& state, int64_t numel) {
  SetThreads(state);
  at::Tensor p = Buffer(1.0f, numel), g = Buffer(0.01f, numel), m = Buffer(0.0f, numel), v = Buffer(0.0f, numel);
  AdamWOptions options;
  options.weight_decay = 0.1;
  for (auto _ : state) {
    AdamW(p.data_ptr<float>(), g.data_ptr<float>(), m.data_ptr<float>(), v.data_ptr<float>(), numel, options);
    ++options.step;
  }
  SetBytes(state, kAdamWBytes * numel);
}
void BM_AdamW(benchmark::State& state) { RunAdamW(state, kNumel); }
void BM_AdamWCached(benchmark::State& state) { RunAdamW(state, 16384); }

void RunAtenFusedAdamW(benchmark::State& state, int64_t numel) {
  SetThreads(state);
  std::vector<at::Tensor> p = {Buffer(1.0f, numel)}, g = {Buffer(0.01f, numel)}, m = {Buffer(0.0f, numel)};
  std::vector<at::Tensor> v = {Buffer(0.0f, numel)}, step = {at::full({}, 1.0f, at::kFloat)};
  for (auto _ : state) {
    at::_fused_adamw_(p, g, m, v, {}, step, 1e-3, 0.9, 0.95, 0.1, 1e-8, /*amsgrad=*/false, /*maximize=*/false);
    step[0].add_(1);
  }
  SetBytes(state, kAdamWBytes * numel);
}
void BM_AtenFusedAdamW(benchmark::State& state) { RunAtenFusedAdamW(state, kNumel); }
void BM_AtenFusedAdamWCached(benchmark::State& state) { RunAtenFusedAdamW(state, 16384); }

void BM_Sgd(benchmark::State& state) {
  SetThreads(state);
  at::Tensor p = Buffer(1.0f), g = Buffer(0.01f), b = Buffer(0.0f);
  SgdOptions options;
  for (auto _ : state) {
    Sgd(p.data_ptr<float>(), g.data_ptr<float>(), b.data_ptr<float>(), kNumel, options);
    ++options.step;
  }
  SetBytes(state, 20 * kNumel);
}

void BM_SumOfSquares(benchmark::State& state) {
  SetThreads(state);
  at::Tensor values = Buffer(0.01f);
  for (auto _ : state) benchmark::DoNotOptimize(SumOfSquares(values.data_ptr<float>(), kNumel));
  SetBytes(state, 4 * kNumel);
}

// fp32 sums and no finite check: less than ours does.
void BM_AtenNorm(benchmark::State& state) {
  SetThreads(state);
  at::Tensor values = Buffer(0.01f);
  for (auto _ : state) benchmark::DoNotOptimize(at::linalg_vector_norm(values));
  SetBytes(state, 4 * kNumel);
}

void BM_FillNormal(benchmark::State& state) {
  SetThreads(state);
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) FillNormal(out.data_ptr<float>(), kNumel, 1, 0, 0.0f, 1.0f);
  SetBytes(state, 4 * kNumel);
  state.SetItemsProcessed(state.iterations() * kNumel);
}

void BM_AtenNormal(benchmark::State& state) {
  SetThreads(state);
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) out.normal_();
  SetBytes(state, 4 * kNumel);
  state.SetItemsProcessed(state.iterations() * kNumel);
}

void BM_Dropout(benchmark::State& state) {
  SetThreads(state);
  at::Tensor in = Buffer(1.0f), out = Buffer(0.0f);
  for (auto _ : state) Dropout(in.data_ptr<float>(), out.data_ptr<float>(), kNumel, 1, 0.1f);
  SetBytes(state, 8 * kNumel);
}

// Makes a mask too, and allocates both results.
void BM_AtenDropout(benchmark::State& state) {
  SetThreads(state);
  at::Tensor in = Buffer(1.0f);
  for (auto _ : state) benchmark::DoNotOptimize(at::native_dropout(in, 0.1, true));
  SetBytes(state, 8 * kNumel);
}

// One thread, as the communication thread calls it: the argument is the number of parts.
void SumParts(benchmark::State& state, DType dtype) {
  const int64_t parts = state.range(0);
  std::vector<at::Tensor> buffers;
  std::vector<const void*> pointers;
  for (int64_t k = 0; k < parts; ++k) buffers.push_back(Buffer(0.5f));
  for (const at::Tensor& buffer : buffers) pointers.push_back(buffer.data_ptr());
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) SumInOrder(pointers, out.data_ptr(), kNumel * 4 / DTypeBytes(dtype), dtype);
  SetBytes(state, (parts + 1) * kNumel * 4);
}
void BM_SumInOrderFp32(benchmark::State& state) { SumParts(state, DType::kFloat32); }
void BM_SumInOrderBf16(benchmark::State& state) { SumParts(state, DType::kBFloat16); }

#define STOWAGE_THREADED(name) BENCHMARK(name)->Arg(1)->Arg(2)->ArgName("threads")->UseRealTime()
STOWAGE_THREADED(BM_Memcpy);
STOWAGE_THREADED(BM_AdamW);
STOWAGE_THREADED(BM_AtenFusedAdamW);
BENCHMARK(BM_AdamWCached)->Arg(1)->ArgName("threads")->UseRealTime();
BENCHMARK(BM_AtenFusedAdamWCached)->Arg(1)->ArgName("threads")->UseRealTime();
STOWAGE_THREADED(BM_Sgd);
STOWAGE_THREADED(BM_SumOfSquares);
STOWAGE_THREADED(BM_AtenNorm);
STOWAGE_THREADED(BM_FillNormal);
STOWAGE_THREADED(BM_AtenNormal);
STOWAGE_THREADED(BM_Dropout);
STOWAGE_THREADED(BM_AtenDropout);
BENCHMARK(BM_SumInOrderFp32)->Arg(2)->Arg(4)->ArgName("parts")->UseRealTime();
BENCHMARK(BM_SumInOrderBf16)->Arg(2)->Arg(4)->ArgName("parts")->UseRealTime();

}  // namespace
}  // namespace stowage::kernels
