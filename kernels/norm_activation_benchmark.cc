// Bytes a second of norms, activations and rotary embedding, forward and backward, beside ATen's composition of the
// same: 4,096 rows of 768 (activations: 3,072 columns; rotary: 12 heads of 64 and as many keys and values).
//
//   bazel-bin/kernels/norm_activation_benchmark --benchmark_min_time=0.3
//
// Bytes are those that the method must move: each tensor read or written, once. Arguments: threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <functional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "benchmark/benchmark.h"
#include "kernels/gelu.h"
#include "kernels/layer_norm.h"
#include "kernels/relu.h"
#include "kernels/rms_norm.h"
#include "kernels/rotary.h"
#include "kernels/swiglu.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kRows = 4096, kWidth = 768, kFfn = 3072;
constexpr float kEps = 1e-5f;

struct Type {
  DType ours;
  at::ScalarType theirs;
  int64_t bytes;
};
constexpr Type kFp32 = {DType::kFloat32, at::kFloat, 4};
constexpr Type kBf16 = {DType::kBFloat16, at::kBFloat16, 2};

// A function of (type) that gives what is run: `ours` or ATen's.
struct Case {
  const char* name;
  int64_t tensor_passes;  // elements read or written, in units of kRows * columns
  int64_t columns;
  std::function<std::function<void()>(const Type&)> ours, theirs;
};

at::Tensor Random(const Type& type, int64_t columns) { return at::randn({kRows, columns}).to(type.theirs); }

float* F(const at::Tensor& t) { return t.data_ptr<float>(); }
void* P(const at::Tensor& t) { return t.data_ptr(); }

struct NormTensors {
  explicit NormTensors(const Type& type)
      : x(Random(type, kWidth)),
        dy(Random(type, kWidth)),
        y(at::empty_like(x)),
        dx(at::empty_like(x)),
        weight(at::ones({kWidth})),
        bias(at::zeros({kWidth})),
        dweight(at::zeros({kWidth})),
        dbias(at::zeros({kWidth})),
        mean(at::zeros({kRows})),
        rstd(at::ones({kRows})),
        scratch(at::empty({LayerNormScratchNumel(kRows, kWidth)})) {}
  at::Tensor x, dy, y, dx, weight, bias, dweight, dbias, mean, rstd, scratch;
};

// ATen's kernels want weights of x's type, or fp32 ones with bf16 x, which its mixed form takes.
std::function<void()> AtenLayerNorm(const Type& type) {
  NormTensors t(type);
  return [t] { benchmark::DoNotOptimize(at::native_layer_norm(t.x, {kWidth}, t.weight, t.bias, kEps)); };
}
std::function<void()> AtenLayerNormBackward(const Type& type) {
  NormTensors t(type);
  auto [y, mean, rstd] = at::native_layer_norm(t.x, {kWidth}, t.weight, t.bias, kEps);
  return [t, mean = mean, rstd = rstd] {
    benchmark::DoNotOptimize(
        at::native_layer_norm_backward(t.dy, t.x, {kWidth}, mean, rstd, t.weight, t.bias, {true, true, true}));
  };
}
std::function<void()> LayerNormForward(const Type& type) {
  NormTensors t(type);
  return [t, type] {
    LayerNorm(type.ours, P(t.x), F(t.weight), F(t.bias), kRows, kWidth, kEps, P(t.y), F(t.mean), F(t.rstd));
  };
}
std::function<void()> LayerNormGradient(const Type& type) {
  NormTensors t(type);
  return [t, type] {
    LayerNormBackward(type.ours, P(t.dy), P(t.x), F(t.weight), F(t.mean), F(t.rstd), nullptr, kRows, kWidth, P(t.dx),
                      {F(t.dweight), false}, {F(t.dbias), false}, F(t.scratch));
  };
}
// The same with the residual's gradient, which ATen's autograd adds by itself.
std::function<void()> LayerNormResidualGradient(const Type& type) {
  NormTensors t(type);
  return [t, type] {
    LayerNormBackward(type.ours, P(t.dy), P(t.x), F(t.weight), F(t.mean), F(t.rstd), P(t.y), kRows, kWidth, P(t.dx),
                      {F(t.dweight), false}, {F(t.dbias), false}, F(t.scratch));
  };
}
std::function<void()> AtenLayerNormResidualBackward(const Type& type) {
  NormTensors t(type);
  auto [y, mean, rstd] = at::native_layer_norm(t.x, {kWidth}, t.weight, t.bias, kEps);
  return [t, mean = mean, rstd = rstd] {
    at::Tensor dx = std::get<0>(
        at::native_layer_norm_backward(t.dy, t.x, {kWidth}, mean, rstd, t.weight, t.bias, {true, true, true}));
    benchmark::DoNotOptimize(dx.add_(t.y));
  };
}

std::function<void()> RmsNormForward(const Type& type) {
  NormTensors t(type);
  return [t, type] { RmsNorm(type.ours, P(t.x), F(t.weight), kRows, kWidth, kEps, P(t.y), F(t.rstd)); };
}
std::function<void()> RmsNormGradient(const Type& type) {
  NormTensors t(type);
  return [t, type] {
    RmsNormBackward(type.ours, P(t.dy), P(t.x), F(t.weight), F(t.rstd), nullptr, kRows, kWidth, P(t.dx),
                    {F(t.dweight), false}, F(t.scratch));
  };
}
// As models write it; the weight in x's type.
at::Tensor ComposedRmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor wide = x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.pow(2).mean(-1, true) + kEps)).to(x.scalar_type());
}
at::Tensor ComposedSwiGlu(const at::Tensor& x) {
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return at::silu(halves[0]) * halves[1];
}
at::Tensor ComposedRotary(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor x = qkv.view({4, 1024, 36, 64}).narrow(2, 0, 24);
  const at::Tensor turned = at::cat({-x.narrow(3, 32, 32), x.narrow(3, 0, 32)}, 3);
  return x * cos + turned * sin;
}

using Function = std::function<at::Tensor(const at::Tensor&)>;

std::function<void()> AtenForward(const Type& type, int64_t columns, const Function& function) {
  const at::Tensor x = Random(type, columns);
  return [x, function] { benchmark::DoNotOptimize(function(x)); };
}
// Through autograd, whose graph is built once.
std::function<void()> AtenBackward(const Type& type, int64_t columns, const Function& function) {
  at::Tensor x = Random(type, columns).requires_grad_(true);
  const at::Tensor y = function(x), dy = at::randn(y.sizes()).to(type.theirs);
  return [x, y, dy] {
    x.mutable_grad() = at::Tensor();
    y.backward(dy, /*retain_graph=*/true);
  };
}

std::function<void()> GeluForward(const Type& type, GeluKind kind) {
  const at::Tensor x = Random(type, kFfn), y = at::empty_like(x);
  return [=] { Gelu(kind, type.ours, P(x), x.numel(), P(y)); };
}
std::function<void()> GeluGradient(const Type& type, GeluKind kind) {
  const at::Tensor x = Random(type, kFfn), dy = Random(type, kFfn), dx = at::empty_like(x);
  return [=] { GeluBackward(kind, type.ours, P(x), P(dy), x.numel(), P(dx)); };
}
std::function<void()> SwiGluForward(const Type& type) {
  const at::Tensor x = Random(type, 2 * kFfn), y = Random(type, kFfn);
  return [=] { SwiGlu(type.ours, P(x), kRows, kFfn, P(y)); };
}
std::function<void()> SwiGluGradient(const Type& type) {
  const at::Tensor x = Random(type, 2 * kFfn), dy = Random(type, kFfn), dx = at::empty_like(x);
  return [=] { SwiGluBackward(type.ours, P(x), P(dy), kRows, kFfn, P(dx)); };
}
std::function<void()> ReluForward(const Type& type) {
  const at::Tensor x = Random(type, kFfn), y = at::empty_like(x), mask = at::empty({x.numel() / 8}, at::kByte);
  return [=] { Relu(type.ours, P(x), x.numel(), P(y), mask.data_ptr<uint8_t>()); };
}
std::function<void()> ReluGradient(const Type& type) {
  const at::Tensor dy = Random(type, kFfn), dx = at::empty_like(dy),
                   mask = at::randint(256, {dy.numel() / 8}, at::kByte);
  return [=] { ReluBackward(type.ours, mask.data_ptr<uint8_t>(), P(dy), dy.numel(), P(dx)); };
}
std::function<void()> RotaryInPlace(const Type& type, bool inverse) {
  const at::Tensor qkv = Random(type, 36 * 64), cos = at::rand({1024, 32}), sin = at::rand({1024, 32});
  return [=] { Rotary(type.ours, {4, 1024, 36 * 64, 24, 64}, F(cos), F(sin), inverse, P(qkv), P(qkv)); };
}

std::vector<Case> Cases() {
  const auto gelu_tanh = [](const at::Tensor& x) { return at::gelu(x, "tanh"); };
  const auto gelu = [](const at::Tensor& x) { return at::gelu(x); };
  const auto relu = [](const at::Tensor& x) { return at::relu(x); };
  const auto forward = [](int64_t columns, Function f) {
    return [=](const Type& type) { return AtenForward(type, columns, f); };
  };
  const auto backward = [](int64_t columns, Function f) {
    return [=](const Type& type) { return AtenBackward(type, columns, f); };
  };
  const auto gelu_of = [](GeluKind kind) { return [=](const Type& type) { return GeluForward(type, kind); }; };
  const auto slope_of = [](GeluKind kind) { return [=](const Type& type) { return GeluGradient(type, kind); }; };
  const auto rms = [](const at::Tensor& x) {
    return ComposedRmsNorm(x, at::ones({kWidth}, x.options().requires_grad(true)));
  };
  const auto rotary = [](const at::Tensor& x) {
    const at::Tensor angles = at::ones({1024, 1, 64}, x.options());
    return ComposedRotary(x, angles, angles);
  };
  return {
      {"LayerNorm", 2, kWidth, LayerNormForward, AtenLayerNorm},
      {"LayerNormBackward", 3, kWidth, LayerNormGradient, AtenLayerNormBackward},
      {"LayerNormBackwardResidual", 4, kWidth, LayerNormResidualGradient, AtenLayerNormResidualBackward},
      {"RmsNorm", 2, kWidth, RmsNormForward, forward(kWidth, rms)},
      {"RmsNormBackward", 3, kWidth, RmsNormGradient, backward(kWidth, rms)},
      {"GeluTanh", 2, kFfn, gelu_of(GeluKind::kTanh), forward(kFfn, gelu_tanh)},
      {"GeluTanhBackward", 3, kFfn, slope_of(GeluKind::kTanh), backward(kFfn, gelu_tanh)},
      {"GeluExact", 2, kFfn, gelu_of(GeluKind::kExact), forward(kFfn, gelu)},
      {"GeluExactBackward", 3, kFfn, slope_of(GeluKind::kExact), backward(kFfn, gelu)},
      {"SwiGlu", 3, kFfn, SwiGluForward, forward(2 * kFfn, ComposedSwiGlu)},
      {"SwiGluBackward", 5, kFfn, SwiGluGradient, backward(2 * kFfn, ComposedSwiGlu)},
      {"Relu", 2, kFfn, ReluForward, forward(kFfn, relu)},
      {"ReluBackward", 2, kFfn, ReluGradient, backward(kFfn, relu)},
      {"Rotary", 2, 24 * 64, [](const Type& type) { return RotaryInPlace(type, false); }, forward(36 * 64, rotary)},
      {"RotaryBackward", 2, 24 * 64, [](const Type& type) { return RotaryInPlace(type, true); },
       backward(36 * 64, rotary)},
  };
}

void Register(const Case& c, const Type& type, bool ours) {
  const std::string name = std::string("BM_") + (ours ? "" : "Aten") + c.name + (type.bytes == 2 ? "Bf16" : "Fp32");
  benchmark::RegisterBenchmark(
      name.c_str(),
      [c, type, ours](benchmark::State& state) {
        at::set_num_threads(static_cast<int>(state.range(0)));
        const std::function<void()> run = (ours ? c.ours : c.theirs)(type);
        for (auto _ : state) run();
        state.SetBytesProcessed(state.iterations() * c.tensor_passes * kRows * c.columns * type.bytes);
      })
      ->Arg(1)
      ->Arg(2)
      ->UseRealTime();
}

const bool kRegistered = [] {
  // ATen makes its results anew each time: without this each would be a fresh mapping, and its page faults would be
  // most of the time. Ours are written where the caller says.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  for (const Case& c : Cases()) {
    for (const Type& type : {kFp32, kBf16}) {
      Register(c, type, true);
      Register(c, type, false);
    }
  }
  return true;
}();

}  // namespace
}  // namespace stowage::kernels
