#include "trainer/model/ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>

#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor Rows(const at::Tensor& t) { return t.dim() == 2 ? t : t.reshape({-1, t.size(-1)}); }

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          const std::optional<at::Tensor>& bias, int64_t weight_slot, int64_t bias_slot) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["weight_slot"] = weight_slot;
    ctx->saved_data["bias_slot"] = bias_slot;
    return at::linear(x, weight, bias);
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
    if (ctx->needs_input_grad(0)) dx = at::mm(dy, saved[1]).view(saved[0].sizes());
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
  if (target.accumulate) {
    target.view.addmm_(dy.t(), x);
  } else {
    at::mm_out(target.view, dy.t(), x);
  }
}

}  // namespace stowage::ops
