#include "trainer/model/ops/language_head.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels/cross_entropy.h"
#include "trainer/model/ops/linear.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// Classes in one product. Of a product's wider matrix oneDNN's older gemm packs up to 9,984 columns at a time and
// thread, into memory that it takes from malloc (15 MB a thread at width 768, which then stay in the heap); of this
// many, half on each of two threads, 3 MB, and the packed part stays in a core's cache.
constexpr int64_t kClassesAtOnce = 4096;

// logits [n, vocabulary] = x weight^T.
void LogitsInto(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& logits) {
  for (int64_t begin = 0; begin < weight.size(0); begin += kClassesAtOnce) {
    const int64_t n = std::min(kClassesAtOnce, weight.size(0) - begin);
    Product(x, weight.narrow(0, begin, n), 0.0f, logits.narrow(1, begin, n));
  }
}

// The summed loss of x's rows. `dx` (x's shape) defined: also the gradients, times `loss_gradient`, the weight's into
// `slot` if there is one.
double Sweep(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, GradientSlot* slot,
             double loss_gradient, const at::Tensor& dx) {
  const int64_t rows = x.size(0), vocabulary = weight.size(0);
  const int64_t chunk = std::clamp<int64_t>(kLogitChunkBytes / (vocabulary * 4), 1, std::max<int64_t>(1, rows));
  const at::Tensor logits_buffer = at::empty({chunk, vocabulary}, x.options().dtype(at::kFloat));
  const bool bf16 = x.scalar_type() == at::kBFloat16;
  const int64_t* ids = targets.const_data_ptr<int64_t>();
  double loss = 0.0;
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t n = std::min(chunk, rows - begin);
    const at::Tensor part = x.narrow(0, begin, n);
    at::Tensor logits = logits_buffer.narrow(0, 0, n);
    LogitsInto(part, weight, logits);
    float* data = logits.data_ptr<float>();
    if (dx.defined() && bf16) {
      loss += kernels::CrossEntropyBf16Gradient(data, ids + begin, n, vocabulary, kIgnoredTarget);
      logits = logits.view(at::kBFloat16).narrow(1, 0, vocabulary);  // in place of the logits, half of each row
    } else {
      loss += kernels::CrossEntropy(data, ids + begin, n, vocabulary, kIgnoredTarget, /*with_gradient=*/dx.defined());
    }
    if (!dx.defined()) continue;
    if (loss_gradient != 1.0) logits.mul_(loss_gradient);
    InputGradient(logits, weight, dx.narrow(0, begin, n));
    if (slot != nullptr) AddWeightGradient(*slot, logits, part);
  }
  return loss;
}

struct LanguageLossFunction : torch::autograd::Function<LanguageLossFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight, const at::Tensor& targets,
                          int64_t slot, double loss_gradient) {
    const at::Tensor dx = at::empty_like(x);
    const double loss = Sweep(x, weight, targets, SlotFrom(c10::IValue(slot)), loss_gradient, dx);
    ctx->saved_data["dx"] = dx;
    at::Tensor out = at::empty({}, x.options().dtype(at::kDouble));
    out.fill_(loss);
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {ctx->saved_data["dx"].toTensor(), Variable(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Logits(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = weight.size(0);
  at::Tensor logits = at::empty({rows.size(0), weight.size(0)}, x.options().dtype(at::kFloat));
  LogitsInto(rows, weight, logits);
  return logits.view(shape);
}

at::Tensor LanguageLoss(const at::Tensor& x, const Parameter& weight, const at::Tensor& targets, double loss_gradient) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  const at::Tensor flat_targets = targets.reshape({-1}).contiguous();
  if (c10::GradMode::is_enabled() && rows.requires_grad()) {
    return LanguageLossFunction::apply(rows, weight.value, flat_targets, SlotNumber(weight.gradient),
                                       loss_gradient);
  }
  at::Tensor out = at::empty({}, x.options().dtype(at::kDouble));
  out.fill_(Sweep(rows, weight.value, flat_targets, nullptr, 1.0, at::Tensor()));
  return out;
}

}  // namespace stowage::ops
