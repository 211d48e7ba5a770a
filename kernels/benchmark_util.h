// What the kernels' benchmarks share: buffers, threads, and counters that are comparable with the machine's peak.
#ifndef STOWAGE_KERNELS_BENCHMARK_UTIL_H_
#define STOWAGE_KERNELS_BENCHMARK_UTIL_H_

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>

#include <cstdint>

#include "benchmark/benchmark.h"

namespace stowage::kernels {

// 64 MiB of fp32: beyond any cache.
inline constexpr int64_t kBenchmarkNumel = int64_t{16} << 20;

inline at::Tensor Buffer(float value, int64_t numel = kBenchmarkNumel) { return at::full({numel}, value, at::kFloat); }

// Numbers in [-0.5, 0.5), none special.
inline at::Tensor RandomBuffer(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  return at::rand(shape, at::kFloat).sub_(0.5).to(dtype);
}

inline uint16_t* Bf16(const at::Tensor& tensor) { return reinterpret_cast<uint16_t*>(tensor.data_ptr<at::BFloat16>()); }

// The thread count is a benchmark's first argument.
inline void SetThreads(const benchmark::State& state) { at::set_num_threads(static_cast<int>(state.range(0))); }

// Bytes that the method must move: each buffer read or written, once.
inline void SetBytes(benchmark::State& state, int64_t bytes_an_iteration) {
  state.SetBytesProcessed(state.iterations() * bytes_an_iteration);
}

inline void SetFlops(benchmark::State& state, int64_t flops_an_iteration) {
  state.counters["FLOPS"] = benchmark::Counter(static_cast<double>(state.iterations() * flops_an_iteration),
                                               benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
}

}  // namespace stowage::kernels

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): the library's own registration is a macro
#define STOWAGE_BENCHMARK(name) BENCHMARK(name)->Arg(1)->Arg(2)->ArgName("threads")->UseRealTime()

#endif  // STOWAGE_KERNELS_BENCHMARK_UTIL_H_
