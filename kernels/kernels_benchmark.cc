// Passes over flat buffers: bytes a second of each kernel, beside ATen's, and beside copying, which is what memory
// gives. kernels/benchmark_table.py runs all benchmarks of this folder and prints shares of the machine's peak.
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/native_dropout.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/topk.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "benchmark/benchmark.h"
#include "kernels/accumulate.h"
#include "kernels/adamw.h"
#include "kernels/benchmark_util.h"
#include "kernels/cast.h"
#include "kernels/column_sum.h"
#include "kernels/norm.h"
#include "kernels/parallel.h"
#include "kernels/random.h"
#include "kernels/top_k.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kNumel = kBenchmarkNumel;

// glibc's, which at this size writes past the caches.
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

// STREAM's triad, a = b + s * c, by plain stores: what a kernel that reads more than it writes can hope for. The read
// of a, which such stores bring, is not counted, as STREAM does not.
void BM_Triad(benchmark::State& state) {
  SetThreads(state);
  at::Tensor a = Buffer(1.0f), b = Buffer(2.0f), c = Buffer(3.0f);
  for (auto _ : state) {
    float* to = a.data_ptr<float>();
    const float *left = b.data_ptr<float>(), *right = c.data_ptr<float>();
    ParallelFor(kNumel, 16384, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = left[i] + 3.0f * right[i];
    });
    benchmark::ClobberMemory();
  }
  SetBytes(state, 3 * kNumel * 4);
}

// Reads alone. Four sums, so that they do not wait for each other.
void BM_Read(benchmark::State& state) {
  SetThreads(state);
  at::Tensor values = Buffer(1.0f);
  for (auto _ : state) {
    const uint64_t* from = reinterpret_cast<const uint64_t*>(values.data_ptr<float>());
    ParallelFor(kNumel / 2, 16384, 16, [&](int64_t begin, int64_t end) {
      uint64_t a = 0, b = 0, c = 0, d = 0;
      for (int64_t i = begin; i < end; i += 4) {
        a += from[i];
        b += from[i + 1];
        c += from[i + 2];
        d += from[i + 3];
      }
      benchmark::DoNotOptimize(a + b + c + d);
    });
  }
  SetBytes(state, kNumel * 4);
}

// Parameter and two moments read and written, gradient read: 28 bytes an element.
constexpr int64_t kAdamWBytes = 28;

void RunAdamW(benchmark::State& state, int64_t numel, bool bf16) {
  SetThreads(state);
  at::Tensor p = Buffer(1.0f, numel), g = Buffer(0.01f, numel), m = Buffer(0.0f, numel), v = Buffer(0.0f, numel);
  AdamWOptions options;
  options.weight_decay = 0.1;
  at::Tensor copy = bf16 ? at::full({numel}, 1.0f, at::kBFloat16) : at::Tensor();
  for (auto _ : state) {
    AdamW(p.data_ptr<float>(), g.data_ptr<float>(), m.data_ptr<float>(), v.data_ptr<float>(), numel, options,
          bf16 ? Bf16(copy) : nullptr);
    ++options.step;
  }
  SetBytes(state, (kAdamWBytes + (bf16 ? 2 : 0)) * numel);
}
void BM_AdamW(benchmark::State& state) { RunAdamW(state, kNumel, false); }
void BM_AdamWCached(benchmark::State& state) { RunAdamW(state, 16384, false); }
void BM_AdamWWithBf16(benchmark::State& state) { RunAdamW(state, kNumel, true); }

// torch.optim.AdamW's operators, as its for-loop and foreach forms call them on a CPU (there foreach is a loop). With
// the gradient's scale, which ours applies too, and the cast of the new parameter.
void RunAtenAdamW(benchmark::State& state, bool bf16) {
  SetThreads(state);
  at::Tensor p = Buffer(1.0f), g = Buffer(0.01f), m = Buffer(0.0f), v = Buffer(0.0f);
  at::Tensor copy = bf16 ? at::full({kNumel}, 1.0f, at::kBFloat16) : at::Tensor();
  double step = 1;
  for (auto _ : state) {
    g.mul_(1.0);
    p.mul_(1 - 1e-3 * 0.1);
    m.lerp_(g, 1 - 0.9);
    v.mul_(0.95).addcmul_(g, g, 1 - 0.95);
    const at::Tensor denominator = v.sqrt().div_(std::sqrt(1 - std::pow(0.95, step))).add_(1e-8);
    p.addcdiv_(m, denominator, -1e-3 / (1 - std::pow(0.9, step)));
    if (bf16) copy.copy_(p);
    ++step;
  }
  SetBytes(state, (kAdamWBytes + (bf16 ? 2 : 0)) * kNumel);
}
void BM_AtenAdamW(benchmark::State& state) { RunAtenAdamW(state, false); }
void BM_AtenAdamWWithBf16(benchmark::State& state) { RunAtenAdamW(state, true); }

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
void BM_AtenAdamWCached(benchmark::State& state) { RunAtenFusedAdamW(state, 16384); }

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

void BM_SumOfSquaresBf16(benchmark::State& state) {
  SetThreads(state);
  at::Tensor values = at::full({2 * kNumel}, 0.01f, at::kBFloat16);
  for (auto _ : state) benchmark::DoNotOptimize(SumOfSquaresBf16(Bf16(values), 2 * kNumel));
  SetBytes(state, 2 * 2 * kNumel);
}

// fp32 sums and no finite check: less than ours does.
void BM_AtenSumOfSquares(benchmark::State& state) {
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

void BM_AtenFillNormal(benchmark::State& state) {
  SetThreads(state);
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) out.normal_();
  SetBytes(state, 4 * kNumel);
  state.SetItemsProcessed(state.iterations() * kNumel);
}

void BM_FillUniform(benchmark::State& state) {
  SetThreads(state);
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) FillUniform(out.data_ptr<float>(), kNumel, 1, 0, 0.0f, 1.0f);
  SetBytes(state, 4 * kNumel);
  state.SetItemsProcessed(state.iterations() * kNumel);
}

void BM_AtenFillUniform(benchmark::State& state) {
  SetThreads(state);
  at::Tensor out = Buffer(0.0f);
  for (auto _ : state) out.uniform_();
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

void BM_CastFp32ToBf16(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = Buffer(1.0f), to = at::full({kNumel}, 1.0f, at::kBFloat16);
  for (auto _ : state) CastFp32ToBf16(from.data_ptr<float>(), Bf16(to), kNumel);
  SetBytes(state, 6 * kNumel);
}

void BM_CastBf16ToFp32(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = at::full({kNumel}, 1.0f, at::kBFloat16), to = Buffer(1.0f);
  for (auto _ : state) CastBf16ToFp32(Bf16(from), to.data_ptr<float>(), kNumel);
  SetBytes(state, 6 * kNumel);
}

void BM_CastFp32ToFp16(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = Buffer(1.0f), to = at::full({kNumel}, 1.0f, at::kHalf);
  uint16_t* half = reinterpret_cast<uint16_t*>(to.data_ptr<at::Half>());
  for (auto _ : state) CastFp32ToFp16(from.data_ptr<float>(), half, kNumel);
  SetBytes(state, 6 * kNumel);
}

void AtenCast(benchmark::State& state, at::ScalarType from_dtype, at::ScalarType to_dtype) {
  SetThreads(state);
  at::Tensor from = at::full({kNumel}, 1.0f, from_dtype), to = at::full({kNumel}, 1.0f, to_dtype);
  for (auto _ : state) to.copy_(from);
  SetBytes(state, 6 * kNumel);
}
void BM_AtenCastFp32ToBf16(benchmark::State& state) { AtenCast(state, at::kFloat, at::kBFloat16); }
void BM_AtenCastBf16ToFp32(benchmark::State& state) { AtenCast(state, at::kBFloat16, at::kFloat); }
void BM_AtenCastFp32ToFp16(benchmark::State& state) { AtenCast(state, at::kFloat, at::kHalf); }

// A bias's gradient: [4096, 3072] bf16, 24 MiB.
constexpr int64_t kSumRows = 4096, kSumColumns = 3072;

void BM_ColumnSumBf16(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = at::full({kSumRows, kSumColumns}, 0.01f, at::kBFloat16), to = Buffer(0.0f, kSumColumns);
  for (auto _ : state) ColumnSumBf16(Bf16(from), kSumRows, kSumColumns, /*accumulate=*/true, to.data_ptr<float>());
  SetBytes(state, kSumRows * kSumColumns * 2);
}

void BM_AtenColumnSumBf16(benchmark::State& state) {
  SetThreads(state);
  at::Tensor from = at::full({kSumRows, kSumColumns}, 0.01f, at::kBFloat16), to = Buffer(0.0f, kSumColumns);
  for (auto _ : state) to.add_(at::sum(from, 0, false, at::kFloat));
  SetBytes(state, kSumRows * kSumColumns * 2);
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

// One in a hundred of normal numbers, as gradients are: the argument is how many millions there are. One thread, as a
// rank's shard is picked from.
at::Tensor Normals(int64_t numel) {
  at::Tensor values = Buffer(0.0f, numel);
  FillNormal(values.data_ptr<float>(), numel, /*key=*/1, 0, 0.0f, 1.0f);
  return values;
}

void BM_TopK(benchmark::State& state) {
  at::set_num_threads(1);
  const int64_t numel = state.range(0) << 20, k = numel / 100;
  const at::Tensor values = Normals(numel);
  std::vector<uint32_t> places(k);
  std::vector<float> picked(k);
  for (auto _ : state) TopK(values.data_ptr<float>(), numel, k, places.data(), picked.data());
  SetBytes(state, 4 * numel);
}

void BM_AtenTopK(benchmark::State& state) {
  at::set_num_threads(1);
  const int64_t numel = state.range(0) << 20, k = numel / 100;
  const at::Tensor values = Normals(numel);
  for (auto _ : state) {
    const at::Tensor places = std::get<1>(at::topk(values.abs(), k, /*dim=*/-1, /*largest=*/true, /*sorted=*/false));
    benchmark::DoNotOptimize(values.index_select(0, places));
  }
  SetBytes(state, 4 * numel);
}

// Two ranks' picks of one in a hundred, into the shard that they are of.
constexpr int kPickers = 2;

void BM_SumPicks(benchmark::State& state) {
  at::set_num_threads(1);
  const int64_t numel = state.range(0) << 20, k = numel / 100;
  std::vector<std::vector<uint32_t>> places(kPickers, std::vector<uint32_t>(k));
  std::vector<std::vector<float>> picked(kPickers, std::vector<float>(k));
  std::vector<Picks> all;
  for (int r = 0; r < kPickers; ++r) {
    const at::Tensor values = r == 0 ? Normals(numel) : Normals(numel).flip(0).contiguous();
    TopK(values.data_ptr<float>(), numel, k, places[r].data(), picked[r].data());
    all.push_back({places[r].data(), picked[r].data()});
  }
  at::Tensor sum = Buffer(0.0f, numel);
  for (auto _ : state) SumPicks(all, k, sum.data_ptr<float>(), numel);
  SetBytes(state, 4 * numel);
}

void BM_AtenSumPicks(benchmark::State& state) {
  at::set_num_threads(1);
  const int64_t numel = state.range(0) << 20, k = numel / 100;
  std::vector<at::Tensor> places, picked;
  for (int r = 0; r < kPickers; ++r) {
    const at::Tensor values = r == 0 ? Normals(numel) : Normals(numel).flip(0).contiguous();
    places.push_back(std::get<1>(at::topk(values.abs(), k, /*dim=*/-1, /*largest=*/true, /*sorted=*/false)));
    picked.push_back(values.index_select(0, places[r]));
  }
  at::Tensor sum = Buffer(0.0f, numel);
  for (auto _ : state) {
    sum.zero_();
    for (int r = 0; r < kPickers; ++r) sum.index_add_(0, places[r], picked[r]);
  }
  SetBytes(state, 4 * numel);
}

STOWAGE_BENCHMARK(BM_Memcpy);
STOWAGE_BENCHMARK(BM_Triad);
STOWAGE_BENCHMARK(BM_Read);
STOWAGE_BENCHMARK(BM_AdamW);
STOWAGE_BENCHMARK(BM_AtenAdamW);
STOWAGE_BENCHMARK(BM_AdamWWithBf16);
STOWAGE_BENCHMARK(BM_AtenAdamWWithBf16);
STOWAGE_BENCHMARK(BM_AtenFusedAdamW);
BENCHMARK(BM_AdamWCached)->Arg(1)->ArgName("threads")->UseRealTime();
BENCHMARK(BM_AtenAdamWCached)->Arg(1)->ArgName("threads")->UseRealTime();
STOWAGE_BENCHMARK(BM_Sgd);
STOWAGE_BENCHMARK(BM_SumOfSquares);
STOWAGE_BENCHMARK(BM_AtenSumOfSquares);
STOWAGE_BENCHMARK(BM_SumOfSquaresBf16);
STOWAGE_BENCHMARK(BM_CastFp32ToBf16);
STOWAGE_BENCHMARK(BM_AtenCastFp32ToBf16);
STOWAGE_BENCHMARK(BM_CastBf16ToFp32);
STOWAGE_BENCHMARK(BM_AtenCastBf16ToFp32);
STOWAGE_BENCHMARK(BM_CastFp32ToFp16);
STOWAGE_BENCHMARK(BM_AtenCastFp32ToFp16);
STOWAGE_BENCHMARK(BM_ColumnSumBf16);
STOWAGE_BENCHMARK(BM_AtenColumnSumBf16);
STOWAGE_BENCHMARK(BM_FillUniform);
STOWAGE_BENCHMARK(BM_AtenFillUniform);
STOWAGE_BENCHMARK(BM_FillNormal);
STOWAGE_BENCHMARK(BM_AtenFillNormal);
STOWAGE_BENCHMARK(BM_Dropout);
STOWAGE_BENCHMARK(BM_AtenDropout);
BENCHMARK(BM_TopK)->Arg(1)->Arg(16)->ArgName("millions")->UseRealTime();
BENCHMARK(BM_AtenTopK)->Arg(1)->Arg(16)->ArgName("millions")->UseRealTime();
BENCHMARK(BM_SumPicks)->Arg(1)->Arg(16)->ArgName("millions")->UseRealTime();
BENCHMARK(BM_AtenSumPicks)->Arg(1)->Arg(16)->ArgName("millions")->UseRealTime();
BENCHMARK(BM_SumInOrderFp32)->Arg(2)->Arg(4)->ArgName("parts")->UseRealTime();
BENCHMARK(BM_SumInOrderBf16)->Arg(2)->Arg(4)->ArgName("parts")->UseRealTime();

}  // namespace
}  // namespace stowage::kernels
