// Matrix products at the shapes of GPT-2 124M with 1,024 rows, in the forms of a training step: y = x W^T,
// dx = dy W, dW += dy^T x, with W [out, in] as a layer stores it. Beside ATen's: in bf16 its weight gradient is a bf16
// matrix, which is then added to the fp32 one.
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include <string>

#include "base/dtype.h"
#include "benchmark/benchmark.h"
#include "kernels/benchmark_util.h"
#include "kernels/gemm.h"

namespace stowage::kernels {
namespace {

constexpr int64_t kRows = 1024;

enum class Form { kForward, kInputGradient, kWeightGradient };

struct Layer {
  const char* name;
  int64_t in, out;
};

// A matrix product as kernels/gemm.h takes it.
struct Problem {
  Problem(Form form, const Layer& layer)
      : transpose_a(form == Form::kWeightGradient ? Transpose::kYes : Transpose::kNo),
        transpose_b(form == Form::kForward ? Transpose::kYes : Transpose::kNo),
        m(form == Form::kWeightGradient ? layer.out : kRows),
        n(form == Form::kForward ? layer.out : layer.in),
        k(form == Form::kForward ? layer.in : (form == Form::kInputGradient ? layer.out : kRows)) {}
  int64_t Flops() const { return 2 * m * n * k; }
  int64_t lda() const { return transpose_a == Transpose::kYes ? m : k; }
  int64_t ldb() const { return transpose_b == Transpose::kYes ? k : n; }
  at::Tensor A(at::ScalarType dtype) const {
    return RandomBuffer({transpose_a == Transpose::kYes ? k : m, lda()}, dtype);
  }
  at::Tensor B(at::ScalarType dtype) const {
    return RandomBuffer({transpose_b == Transpose::kYes ? n : k, ldb()}, dtype);
  }
  Transpose transpose_a, transpose_b;
  int64_t m, n, k;
};

void OursFp32(benchmark::State& state, Form form, const Layer& layer) {
  SetThreads(state);
  const Problem p(form, layer);
  const at::Tensor a = p.A(at::kFloat), b = p.B(at::kFloat), c = at::full({p.m, p.n}, 0.0f, at::kFloat);
  const float beta = form == Form::kWeightGradient ? 1.0f : 0.0f;
  for (auto _ : state) {
    Gemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k, a.data_ptr<float>(), p.lda(), b.data_ptr<float>(), p.ldb(), beta,
         c.data_ptr<float>(), p.n);
  }
  SetFlops(state, p.Flops());
}

void OursBf16(benchmark::State& state, Form form, const Layer& layer) {
  SetThreads(state);
  const Problem p(form, layer);
  const bool to_fp32 = form == Form::kWeightGradient;
  const at::Tensor a = p.A(at::kBFloat16), b = p.B(at::kBFloat16);
  const at::Tensor c = at::full({p.m, p.n}, 0.0f, to_fp32 ? at::kFloat : at::kBFloat16);
  for (auto _ : state) {
    GemmBf16(p.transpose_a, p.transpose_b, p.m, p.n, p.k, a.data_ptr(), p.lda(), b.data_ptr(), p.ldb(),
             to_fp32 ? 1.0f : 0.0f, c.data_ptr(), p.n, to_fp32 ? DType::kFloat32 : DType::kBFloat16);
  }
  SetFlops(state, p.Flops());
}

void Atens(benchmark::State& state, Form form, const Layer& layer, at::ScalarType dtype) {
  SetThreads(state);
  const Problem p(form, layer);
  at::Tensor a = p.A(dtype), b = p.B(dtype);
  if (p.transpose_a == Transpose::kYes) a = a.t();
  if (p.transpose_b == Transpose::kYes) b = b.t();
  at::Tensor c = at::full({p.m, p.n}, 0.0f, dtype);
  at::Tensor gradient = at::full({p.m, p.n}, 0.0f, at::kFloat);
  for (auto _ : state) {
    if (form == Form::kWeightGradient && dtype == at::kFloat) {
      gradient.addmm_(a, b);
    } else {
      at::mm_out(c, a, b);
      if (form == Form::kWeightGradient) gradient.add_(c);
    }
  }
  SetFlops(state, p.Flops());
}

// "qkv" and so on are GPT-2's layers; "head" is the matrix of the vocabulary.
bool RegisterAll() {
  static constexpr Layer kLayers[] = {
      {"qkv", 768, 2304}, {"out", 768, 768}, {"fc", 768, 3072}, {"proj", 3072, 768}, {"head", 768, 50257}};
  static constexpr struct {
    const char* name;
    Form form;
  } kForms[] = {{"Forward", Form::kForward}, {"dX", Form::kInputGradient}, {"dW", Form::kWeightGradient}};
  for (const Layer& layer : kLayers) {
    for (const auto& form : kForms) {
      const std::string name = std::string("/") + layer.name + "/" + form.name;
      const Form f = form.form;
      for (benchmark::internal::Benchmark* each : {
               benchmark::RegisterBenchmark(("BM_GemmFp32" + name).c_str(),
                                            [=](benchmark::State& state) { OursFp32(state, f, layer); }),
               benchmark::RegisterBenchmark(("BM_AtenGemmFp32" + name).c_str(),
                                            [=](benchmark::State& state) { Atens(state, f, layer, at::kFloat); }),
               benchmark::RegisterBenchmark(("BM_GemmBf16" + name).c_str(),
                                            [=](benchmark::State& state) { OursBf16(state, f, layer); }),
               benchmark::RegisterBenchmark(("BM_AtenGemmBf16" + name).c_str(),
                                            [=](benchmark::State& state) { Atens(state, f, layer, at::kBFloat16); }),
           }) {
        each->Arg(1)->Arg(2)->ArgName("threads")->UseRealTime();
      }
    }
  }
  return true;
}

[[maybe_unused]] const bool registered = RegisterAll();

}  // namespace
}  // namespace stowage::kernels
