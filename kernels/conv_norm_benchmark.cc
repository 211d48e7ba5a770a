// Convolutions (FLOP/s) and group norm with ReLU (bytes/s), forward and backward, beside ATen's: the shapes of a small
// residual network on 128 images of 28 x 28.
//
//   bazel-bin/kernels/conv_norm_benchmark --benchmark_min_time=0.3
//
// Bytes are those that the method must move: each tensor read or written, once. Arguments: threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <malloc.h>

#include <functional>
#include <string>

#include "base/dtype.h"
#include "benchmark/benchmark.h"
#include "kernels/conv2d.h"
#include "kernels/group_norm.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kSamples = 128;
constexpr int64_t kGroups = 8;
constexpr float kEps = 1e-5f;

struct Type {
  DType ours;
  at::ScalarType theirs;
  int64_t bytes;
};
constexpr Type kFp32 = {DType::kFloat32, at::kFloat, 4};
constexpr Type kBf16 = {DType::kBFloat16, at::kBFloat16, 2};

at::Tensor Images(const Type& type, int64_t channels, int64_t rows, int64_t columns) {
  return at::randn({kSamples, channels, rows, columns}).to(type.theirs).contiguous(at::MemoryFormat::ChannelsLast);
}

void* P(const at::Tensor& t) { return t.data_ptr(); }
float* F(const at::Tensor& t) { return t.data_ptr<float>(); }

struct ConvTensors {
  ConvTensors(const Type& type, const Conv2dShape& s)
      : type(type),
        shape(s),
        x(Images(type, s.in_channels, s.rows, s.columns)),
        weight(at::randn({s.out_channels, s.in_channels, s.kernel_rows, s.kernel_columns}).to(type.theirs)),
        y(Images(type, s.out_channels, s.out_rows(), s.out_columns())),
        dx(at::empty_like(x)),
        dweight(at::zeros(weight.sizes())) {}

  void Aten() const {
    benchmark::DoNotOptimize(at::conv2d(x, weight, {}, {shape.stride, shape.stride}, {shape.padding, shape.padding}));
  }
  void AtenBackward(bool input, bool weights) const {
    const std::vector<int64_t> stride = {shape.stride, shape.stride}, padding = {shape.padding, shape.padding};
    benchmark::DoNotOptimize(at::convolution_backward(y, x, weight, at::OptionalIntArrayRef(), stride, padding, {1, 1},
                                                      false, {0, 0}, 1, {input, weights, false}));
  }

  Type type;
  Conv2dShape shape;
  at::Tensor x, weight, y, dx, dweight;  // y serves as its own gradient
};

struct NormTensors {
  NormTensors(const Type& type, int64_t channels, int64_t side)
      : type(type),
        shape({kSamples, side * side, channels, kGroups}),
        x(Images(type, channels, side, side)),
        plain(x.contiguous()),
        y(at::empty_like(x)),
        dx(at::empty_like(x)),
        weight(at::ones({channels})),
        bias(at::zeros({channels})),
        dweight(at::zeros({channels})),
        dbias(at::zeros({channels})),
        mean(at::zeros({kSamples, kGroups})),
        rstd(at::ones({kSamples, kGroups})),
        mask(at::zeros({GroupNormMaskNumel(shape)}, at::kShort)) {}

  uint16_t* Mask() const { return reinterpret_cast<uint16_t*>(mask.data_ptr<int16_t>()); }
  void Forward() const {
    GroupNorm(type.ours, shape, P(x), F(weight), F(bias), kEps, nullptr, {true, Mask()}, P(y), F(mean), F(rstd));
  }
  void Backward() const {
    GroupNormBackward(type.ours, shape, P(y), P(x), F(weight), F(mean), F(rstd), Mask(), P(dx), nullptr,
                      {F(dweight), false}, {F(dbias), false});
  }
  // ATen's on planes of pixels, where it is several times as fast as on channels-last images; fp32 weights for both.
  void AtenForward() const {
    const auto [out, mean_, rstd_] =
        at::native_group_norm(plain, weight, bias, kSamples, shape.channels, shape.pixels, kGroups, kEps);
    benchmark::DoNotOptimize(at::relu(out));
  }
  void AtenBackward() const {
    const at::Tensor g = at::threshold_backward(plain, plain, 0);
    const at::ScalarType statistics = type.theirs == at::kBFloat16 ? at::kFloat : type.theirs;
    benchmark::DoNotOptimize(at::native_group_norm_backward(g, plain, mean.to(statistics), rstd.to(statistics), weight,
                                                            kSamples, shape.channels, shape.pixels, kGroups,
                                                            {true, true, true}));
  }

  Type type;
  GroupNormShape shape;
  at::Tensor x, plain, y, dx, weight, bias, dweight, dbias, mean, rstd, mask;
};

// `work`: FLOPs or bytes of a call.
void Register(const std::string& name, bool flops, double work, std::function<std::function<void()>()> make) {
  auto* entry = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const c10::InferenceMode no_grad;
    at::set_num_threads(static_cast<int>(state.range(0)));
    const std::function<void()> call = make();
    call();
    for (auto _ : state) call();
    state.counters[flops ? "FLOP/s" : "B/s"] =
        benchmark::Counter(work, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
  });
  entry->UseRealTime()->Unit(benchmark::kMicrosecond)->Arg(1)->Arg(2);
}

void RegisterConv(const std::string& name, const Conv2dShape& s) {
  const double flops = 2.0 * s.samples * s.out_rows() * s.out_columns() * s.weight_numel();
  for (const Type& type : {kFp32, kBf16}) {
    const std::string of = name + "/" + std::string(DTypeName(type.ours));
    Register("Conv/" + of, true, flops,
             [=] { return [t = ConvTensors(type, s)] { Conv2d(t.type.ours, t.shape, P(t.x), P(t.weight), P(t.y)); }; });
    Register("AtenConv/" + of, true, flops, [=] { return [t = ConvTensors(type, s)] { t.Aten(); }; });
    Register("ConvInputGradient/" + of, true, flops, [=] {
      return [t = ConvTensors(type, s)] { Conv2dInputGradient(t.type.ours, t.shape, P(t.y), P(t.weight), P(t.dx)); };
    });
    Register("AtenConvInputGradient/" + of, true, flops,
             [=] { return [t = ConvTensors(type, s)] { t.AtenBackward(true, false); }; });
    Register("ConvWeightGradient/" + of, true, flops, [=] {
      return [t = ConvTensors(type, s)] {
        Conv2dWeightGradient(t.type.ours, t.shape, P(t.x), P(t.y), true, F(t.dweight));
      };
    });
    Register("AtenConvWeightGradient/" + of, true, flops,
             [=] { return [t = ConvTensors(type, s)] { t.AtenBackward(false, true); }; });
  }
}

void RegisterNorm(int64_t channels, int64_t side) {
  for (const Type& type : {kFp32, kBf16}) {
    const std::string of =
        std::to_string(channels) + "x" + std::to_string(side) + "/" + std::string(DTypeName(type.ours));
    const double bytes = static_cast<double>(kSamples * side * side * channels * type.bytes);
    Register("GroupNormRelu/" + of, false, 2 * bytes,
             [=] { return [t = NormTensors(type, channels, side)] { t.Forward(); }; });
    Register("AtenGroupNormRelu/" + of, false, 2 * bytes,
             [=] { return [t = NormTensors(type, channels, side)] { t.AtenForward(); }; });
    Register("GroupNormReluBackward/" + of, false, 3 * bytes,
             [=] { return [t = NormTensors(type, channels, side)] { t.Backward(); }; });
    Register("AtenGroupNormReluBackward/" + of, false, 3 * bytes,
             [=] { return [t = NormTensors(type, channels, side)] { t.AtenBackward(); }; });
  }
}

const bool kRegistered = [] {
  // ATen makes its results anew each time: without this each would be a fresh mapping, and its page faults would be
  // most of the time. Ours are written where the caller says.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  RegisterConv("Stem1to16", {kSamples, 28, 28, 1, 16, 3, 3, 1, 1});
  RegisterConv("16", {kSamples, 28, 28, 16, 16, 3, 3, 1, 1});
  RegisterConv("16to32Half", {kSamples, 28, 28, 16, 32, 3, 3, 2, 1});
  RegisterConv("32", {kSamples, 14, 14, 32, 32, 3, 3, 1, 1});
  RegisterConv("64", {kSamples, 7, 7, 64, 64, 3, 3, 1, 1});
  RegisterConv("Point16to32Half", {kSamples, 28, 28, 16, 32, 1, 1, 2, 0});
  RegisterNorm(16, 28);
  RegisterNorm(32, 14);
  RegisterNorm(64, 7);
  return true;
}();

}  // namespace
}  // namespace stowage::kernels
