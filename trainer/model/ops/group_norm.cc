#include "trainer/model/ops/group_norm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "kernels/group_norm.h"
#include "trainer/model/ops/element_type.h"
#include "trainer/model/ops/norm_parameters.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor ChannelsLast(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }
kernels::GroupNormShape ShapeOf(const at::Tensor& x, int64_t groups) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups};
}

// The mask as the kernel has it.
uint16_t* Words(const at::Tensor& mask) {
  return mask.defined() ? reinterpret_cast<uint16_t*>(mask.data_ptr<int16_t>()) : nullptr;
}

struct GroupNormFunction : torch::autograd::Function<GroupNormFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const std::optional<at::Tensor>& residual,
                          const Variable& weight, const Variable& bias, int64_t groups, double eps, bool relu,
                          bool with_mask, int64_t weight_slot, int64_t bias_slot) {
    STOWAGE_CHECK(x.dim() == 4 && weight.numel() == x.size(1) && bias.numel() == x.size(1))
        << "group norm of " << x.dim() << " dimensions with " << weight.numel() << " weights";
    STOWAGE_CHECK(!residual || (residual->sizes() == x.sizes() && residual->scalar_type() == x.scalar_type()))
        << "the residual is another kind of tensor";
    const at::Tensor images = ChannelsLast(x), scale = Fp32(weight), shift = Fp32(bias),
                     added = residual ? ChannelsLast(*residual) : at::Tensor();
    const kernels::GroupNormShape shape = ShapeOf(images, groups);
    at::Tensor y = at::empty_like(images), statistics = at::empty({2, shape.samples, groups}, scale.options()), mask;
    if (with_mask) mask = at::empty({kernels::GroupNormMaskNumel(shape)}, images.options().dtype(at::kShort));
    float* mean = statistics.data_ptr<float>();
    kernels::GroupNorm(ElementType(images), shape, images.const_data_ptr(), scale.const_data_ptr<float>(),
                       shift.const_data_ptr<float>(), static_cast<float>(eps),
                       residual ? added.const_data_ptr() : nullptr, {relu, Words(mask)}, y.data_ptr(), mean,
                       mean + shape.samples * groups);
    ctx->save_for_backward({x, weight, statistics, mask});
    ctx->saved_data["groups"] = groups;
    ctx->saved_data["residual"] = residual.has_value();
    ctx->saved_data["weight_slot"] = weight_slot;
    ctx->saved_data["bias_slot"] = bias_slot;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor images = ChannelsLast(saved[0]), scale = Fp32(saved[1]), dy = ChannelsLast(grads[0]);
    const at::Tensor &statistics = saved[2], &mask = saved[3];
    STOWAGE_CHECK(dy.scalar_type() == images.scalar_type()) << c10::toString(dy.scalar_type());
    const kernels::GroupNormShape shape = ShapeOf(images, ctx->saved_data["groups"].toInt());
    at::Tensor dx = at::empty_like(images), dresidual;
    const bool residual = ctx->saved_data["residual"].toBool();
    if (residual) dresidual = mask.defined() ? at::empty_like(images) : dy;
    const float* mean = statistics.const_data_ptr<float>();
    kernels::GroupNormBackward(ElementType(images), shape, dy.const_data_ptr(), images.const_data_ptr(),
                               scale.const_data_ptr<float>(), mean, mean + shape.samples * shape.groups, Words(mask),
                               dx.data_ptr(), residual && mask.defined() ? dresidual.data_ptr() : nullptr,
                               NormTarget(ctx->saved_data["weight_slot"]), NormTarget(ctx->saved_data["bias_slot"]));
    return {dx, dresidual, {}, {}, {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor GroupNorm(const at::Tensor& x, const Parameter& weight, const Parameter& bias,
                     const GroupNormOptions& options, const std::optional<at::Tensor>& residual) {
  const bool backward =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.value.requires_grad() || bias.value.requires_grad() ||
                                     (residual && residual->requires_grad()));
  return GroupNormFunction::apply(x, residual, weight.value, bias.value, options.groups, options.eps, options.relu,
                                  options.relu && backward, SlotNumber(weight.gradient), SlotNumber(bias.gradient));
}

}  // namespace stowage::ops
