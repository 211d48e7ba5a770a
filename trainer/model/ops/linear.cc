#include "trainer/model/ops/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/gemm.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using kernels::Gemm;
using kernels::Transpose;

// t as [rows, last dimension], contiguous.
at::Tensor Rows(const at::Tensor& t) { return (t.dim() == 2 ? t : t.reshape({-1, t.size(-1)})).contiguous(); }

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          const std::optional<at::Tensor>& bias, int64_t weight_slot, int64_t bias_slot) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["weight_slot"] = weight_slot;
    ctx->saved_data["bias_slot"] = bias_slot;
    const at::Tensor rows = Rows(x);
    at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
    if (bias.has_value()) y.copy_(bias->expand_as(y));
    Product(rows, weight, bias.has_value() ? 1.0f : 0.0f, y);
    std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
    shape.back() = weight.size(0);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor dy = Rows(grads[0]);
    const at::Tensor x = Rows(saved[0]);
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["weight_slot"])) AddWeightGradient(*slot, dy, x);
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["bias_slot"])) {
      GradientSlot::Target target = slot->Write();
      if (target.accumulate) {
        target.view.add_(dy.sum(0));
      } else {
        at::sum_out(target.view, dy, {0});
      }
    }
    at::Tensor dx;
    if (ctx->needs_input_grad(0)) {
      dx = at::empty(saved[0].sizes(), dy.options());
      InputGradient(dy, saved[1], dx);
    }
    return {dx, Variable(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Linear(const at::Tensor& x, const Parameter& weight, const Parameter* bias) {
  return LinearFunction::apply(x, weight.value, bias ? std::optional<at::Tensor>(bias->value) : std::nullopt,
                               SlotNumber(weight.gradient),
                               SlotNumber(bias ? bias->gradient : nullptr));
}

void AddWeightGradient(GradientSlot& slot, const at::Tensor& dy, const at::Tensor& x) {
  GradientSlot::Target target = slot.Write();
  const int64_t rows = dy.size(0), out = dy.size(1), in = x.size(1);
  Gemm(Transpose::kYes, Transpose::kNo, out, in, rows, dy.const_data_ptr<float>(), out, x.const_data_ptr<float>(), in,
       target.accumulate ? 1.0f : 0.0f, target.view.data_ptr<float>(), in);
}

void Product(const at::Tensor& x, const at::Tensor& weight, float beta, const at::Tensor& y) {
  const int64_t rows = x.size(0), in = x.size(1), out = weight.size(0);
  Gemm(Transpose::kNo, Transpose::kYes, rows, out, in, x.const_data_ptr<float>(), in, weight.const_data_ptr<float>(),
       in, beta, y.data_ptr<float>(), out);
}

void InputGradient(const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& dx) {
  const int64_t rows = dy.size(0), out = dy.size(1), in = weight.size(1);
  Gemm(Transpose::kNo, Transpose::kNo, rows, in, out, dy.const_data_ptr<float>(), out, weight.const_data_ptr<float>(),
       in, 0.0f, dx.data_ptr<float>(), in);
}

}  // namespace stowage::ops
