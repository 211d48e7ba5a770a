#include "trainer/model/ops/norm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "kernels/layer_norm.h"
#include "kernels/rms_norm.h"
#include "trainer/model/ops/element_type.h"
#include "trainer/model/ops/norm_parameters.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

int64_t RowsOf(const at::Tensor& x) {
  STOWAGE_CHECK(x.dim() > 0 && x.size(-1) > 0) << "norm of a tensor of " << x.dim() << " dimensions";
  return x.numel() / x.size(-1);
}

// The norm of x and, if `residual`, x itself, whose gradient then comes to backward too.
template <bool kLayer>
struct NormFunction : torch::autograd::Function<NormFunction<kLayer>> {
  static variable_list forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                               const std::optional<at::Tensor>& bias, double eps, bool residual, int64_t weight_slot,
                               int64_t bias_slot) {
    const at::Tensor input = x.contiguous(), scale = Fp32(weight), shift = bias ? Fp32(*bias) : at::Tensor();
    const int64_t rows = RowsOf(input), width = input.size(-1);
    STOWAGE_CHECK(scale.numel() == width && (!bias || shift.numel() == width))
        << "norm of rows of " << width << " with " << scale.numel() << " weights";
    at::Tensor y = at::empty_like(input), statistics = at::empty({kLayer ? 2 : 1, rows}, scale.options());
    float* rstd = statistics.data_ptr<float>();
    if constexpr (kLayer) {
      kernels::LayerNorm(ElementType(input), input.const_data_ptr(), scale.const_data_ptr<float>(),
                         bias ? shift.const_data_ptr<float>() : nullptr, rows, width, static_cast<float>(eps),
                         y.data_ptr(), rstd + rows, rstd);
    } else {
      kernels::RmsNorm(ElementType(input), input.const_data_ptr(), scale.const_data_ptr<float>(), rows, width,
                       static_cast<float>(eps), y.data_ptr(), rstd);
    }
    ctx->save_for_backward({x, weight, statistics});
    ctx->saved_data["weight_slot"] = weight_slot;
    ctx->saved_data["bias_slot"] = bias_slot;
    ctx->set_materialize_grads(false);
    if (residual) return {y, x};
    return {y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor around = grads.size() > 1 ? grads[1] : at::Tensor();
    // Nobody asked for the norm's gradient: x's is that of the way around.
    if (!grads[0].defined()) return {around, {}, {}, {}, {}, {}, {}};
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor x = saved[0].contiguous(), scale = Fp32(saved[1]), dy = grads[0].contiguous();
    const at::Tensor residual = around.defined() ? around.contiguous() : at::Tensor();
    const int64_t rows = RowsOf(x), width = x.size(-1);
    STOWAGE_CHECK(dy.scalar_type() == x.scalar_type() &&
                  (!residual.defined() || residual.scalar_type() == x.scalar_type()))
        << "gradient of " << c10::toString(dy.scalar_type()) << " for a norm of " << c10::toString(x.scalar_type());
    const void* to_add = residual.defined() ? residual.const_data_ptr() : nullptr;
    const float* rstd = saved[2].const_data_ptr<float>();
    at::Tensor dx = at::empty_like(x);
    const kernels::NormGradient weight_gradient = NormTarget(ctx->saved_data["weight_slot"]);
    if constexpr (kLayer) {
      at::Tensor scratch = at::empty({kernels::LayerNormScratchNumel(rows, width)}, scale.options());
      kernels::LayerNormBackward(ElementType(x), dy.const_data_ptr(), x.const_data_ptr(), scale.const_data_ptr<float>(),
                                 rstd + rows, rstd, to_add, rows, width, dx.data_ptr(), weight_gradient,
                                 NormTarget(ctx->saved_data["bias_slot"]), scratch.data_ptr<float>());
    } else {
      at::Tensor scratch = at::empty({kernels::RmsNormScratchNumel(rows, width)}, scale.options());
      kernels::RmsNormBackward(ElementType(x), dy.const_data_ptr(), x.const_data_ptr(), scale.const_data_ptr<float>(),
                               rstd, to_add, rows, width, dx.data_ptr(), weight_gradient, scratch.data_ptr<float>());
    }
    return {dx, {}, {}, {}, {}, {}, {}};
  }
};

template <bool kLayer>
variable_list Apply(const at::Tensor& x, const Parameter& weight, const Parameter* bias, double eps, bool residual) {
  return NormFunction<kLayer>::apply(x, weight.value, bias ? std::optional<at::Tensor>(bias->value) : std::nullopt, eps,
                                     residual, SlotNumber(weight.gradient),
                                     SlotNumber(bias ? bias->gradient : nullptr));
}

}  // namespace

at::Tensor LayerNorm(const at::Tensor& x, const Parameter& weight, const Parameter* bias, double eps) {
  return Apply<true>(x, weight, bias, eps, false)[0];
}

NormAndResidual LayerNormAndResidual(const at::Tensor& x, const Parameter& weight, const Parameter* bias, double eps) {
  const variable_list outputs = Apply<true>(x, weight, bias, eps, true);
  return {outputs[0], outputs[1]};
}

at::Tensor RmsNorm(const at::Tensor& x, const Parameter& weight, double eps) {
  return Apply<false>(x, weight, nullptr, eps, false)[0];
}

NormAndResidual RmsNormAndResidual(const at::Tensor& x, const Parameter& weight, double eps) {
  const variable_list outputs = Apply<false>(x, weight, nullptr, eps, true);
  return {outputs[0], outputs[1]};
}

}  // namespace stowage::ops
