#include "trainer/model/ops/conv.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "kernels/conv2d.h"
#include "trainer/model/ops/element_type.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor ChannelsLast(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

kernels::Conv2dShape ShapeOf(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding) {
  STOWAGE_CHECK(x.dim() == 4 && weight.dim() == 4 && x.size(1) == weight.size(1) &&
                x.scalar_type() == weight.scalar_type())
      << "convolution of " << x.dim() << " dimensions, " << c10::toString(x.scalar_type()) << ", with a kernel of "
      << weight.dim() << ", " << c10::toString(weight.scalar_type());
  kernels::Conv2dShape shape;
  shape.samples = x.size(0);
  shape.in_channels = x.size(1);
  shape.rows = x.size(2);
  shape.columns = x.size(3);
  shape.out_channels = weight.size(0);
  shape.kernel_rows = weight.size(2);
  shape.kernel_columns = weight.size(3);
  shape.stride = stride;
  shape.padding = padding;
  return shape;
}

struct ConvFunction : torch::autograd::Function<ConvFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight, int64_t stride,
                          int64_t padding, int64_t weight_slot) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["stride"] = stride;
    ctx->saved_data["padding"] = padding;
    ctx->saved_data["weight_slot"] = weight_slot;
    const at::Tensor images = ChannelsLast(x), kernel = weight.contiguous();
    const kernels::Conv2dShape shape = ShapeOf(images, kernel, stride, padding);
    at::Tensor y = at::empty({shape.samples, shape.out_channels, shape.out_rows(), shape.out_columns()},
                             images.options().memory_format(at::MemoryFormat::ChannelsLast));
    kernels::Conv2d(ElementType(images), shape, images.const_data_ptr(), kernel.const_data_ptr(), y.data_ptr());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor images = ChannelsLast(saved[0]), kernel = saved[1].contiguous(), dy = ChannelsLast(grads[0]);
    const kernels::Conv2dShape shape =
        ShapeOf(images, kernel, ctx->saved_data["stride"].toInt(), ctx->saved_data["padding"].toInt());
    STOWAGE_CHECK(dy.scalar_type() == images.scalar_type()) << c10::toString(dy.scalar_type());
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["weight_slot"])) {
      const GradientSlot::Target target = slot->Write();
      kernels::Conv2dWeightGradient(ElementType(images), shape, images.const_data_ptr(), dy.const_data_ptr(),
                                    target.accumulate, target.view.data_ptr<float>());
    }
    at::Tensor dx;
    if (ctx->needs_input_grad(0)) {
      dx = at::empty(images.sizes(), images.options().memory_format(at::MemoryFormat::ChannelsLast));
      kernels::Conv2dInputGradient(ElementType(images), shape, dy.const_data_ptr(), kernel.const_data_ptr(),
                                   dx.data_ptr());
    }
    return {dx, Variable(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Conv2d(const at::Tensor& x, const Parameter& weight, int64_t stride, int64_t padding) {
  return ConvFunction::apply(x, weight.value, stride, padding, SlotNumber(weight.gradient));
}

}  // namespace stowage::ops
