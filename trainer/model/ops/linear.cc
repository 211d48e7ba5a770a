#include "trainer/model/ops/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "base/dtype.h"
#include "kernels/column_sum.h"
#include "kernels/gemm.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using kernels::Transpose;

// t as [rows, last dimension], contiguous.
at::Tensor Rows(const at::Tensor& t) { return (t.dim() == 2 ? t : t.reshape({-1, t.size(-1)})).contiguous(); }

// c = op(a) op(b) + beta c, [m, n] with k terms a sum, in the dtype of a and b.
void Multiply(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const at::Tensor& a,
              const at::Tensor& b, float beta, const at::Tensor& c) {
  STOWAGE_CHECK(a.scalar_type() == b.scalar_type() && a.stride(1) == 1 && b.stride(1) == 1 && c.stride(1) == 1)
      << "product of " << c10::toString(a.scalar_type()) << " and " << c10::toString(b.scalar_type());
  if (a.scalar_type() == at::kBFloat16) {
    const DType c_dtype = c.scalar_type() == at::kFloat ? DType::kFloat32 : DType::kBFloat16;
    kernels::GemmBf16(transpose_a, transpose_b, m, n, k, a.const_data_ptr(), a.stride(0), b.const_data_ptr(),
                      b.stride(0), beta, c.data_ptr(), c.stride(0), c_dtype);
  } else {
    kernels::Gemm(transpose_a, transpose_b, m, n, k, a.const_data_ptr<float>(), a.stride(0), b.const_data_ptr<float>(),
                  b.stride(0), beta, c.data_ptr<float>(), c.stride(0));
  }
}

// slot (+)= the sums of dy's columns, in fp32.
void AddBiasGradient(GradientSlot& slot, const at::Tensor& dy) {
  GradientSlot::Target target = slot.Write();
  if (dy.scalar_type() == at::kBFloat16) {
    kernels::ColumnSumBf16(static_cast<const uint16_t*>(dy.const_data_ptr()), dy.size(0), dy.size(1), target.accumulate,
                           target.view.data_ptr<float>());
  } else if (target.accumulate) {
    target.view.add_(dy.sum(0));
  } else {
    at::sum_out(target.view, dy, {0});
  }
}

// x W^T + b. In fp32 the product is added to the bias; in bf16 the bias to the product, which was rounded.
at::Tensor Map(const at::Tensor& rows, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  at::Tensor y = at::empty({rows.size(0), weight.size(0)}, rows.options());
  const bool bias_first = bias.has_value() && rows.scalar_type() == at::kFloat;
  if (bias_first) y.copy_(bias->expand_as(y));
  Product(rows, weight, bias_first ? 1.0f : 0.0f, y);
  if (bias.has_value() && !bias_first) y.add_(*bias);
  return y;
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          const std::optional<at::Tensor>& bias, int64_t weight_slot, int64_t bias_slot) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["weight_slot"] = weight_slot;
    ctx->saved_data["bias_slot"] = bias_slot;
    std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
    shape.back() = weight.size(0);
    return Map(Rows(x), weight, bias).view(shape);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor dy = Rows(grads[0]);
    const at::Tensor x = Rows(saved[0]);
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["weight_slot"])) AddWeightGradient(*slot, dy, x);
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["bias_slot"])) AddBiasGradient(*slot, dy);
    at::Tensor dx;
    if (ctx->needs_input_grad(0)) {
      dx = at::empty(saved[0].sizes(), dy.options());
      InputGradient(dy, saved[1], dx.view({-1, dx.size(-1)}));
    }
    return {dx, Variable(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Linear(const at::Tensor& x, const Parameter& weight, const Parameter* bias) {
  return LinearFunction::apply(x, weight.value, bias ? std::optional<at::Tensor>(bias->value) : std::nullopt,
                               SlotNumber(weight.gradient), SlotNumber(bias ? bias->gradient : nullptr));
}

void AddWeightGradient(GradientSlot& slot, const at::Tensor& dy, const at::Tensor& x) {
  GradientSlot::Target target = slot.Write();
  Multiply(Transpose::kYes, Transpose::kNo, dy.size(1), x.size(1), dy.size(0), dy, x, target.accumulate ? 1.0f : 0.0f,
           target.view);
}

void Product(const at::Tensor& x, const at::Tensor& weight, float beta, const at::Tensor& y) {
  Multiply(Transpose::kNo, Transpose::kYes, x.size(0), weight.size(0), x.size(1), x, weight, beta, y);
}

void InputGradient(const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& dx) {
  Multiply(Transpose::kNo, Transpose::kNo, dy.size(0), weight.size(1), dy.size(1), dy, weight, 0.0f, dx);
}

}  // namespace stowage::ops
