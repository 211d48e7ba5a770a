#include "trainer/model/ops/activation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "kernels/relu.h"
#include "kernels/swiglu.h"
#include "trainer/model/ops/element_type.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// x's own order of elements, where it is one of those that convolutions use.
at::Tensor Dense(const at::Tensor& x) { return x.contiguous(x.suggest_memory_format()); }

struct GeluFunction : torch::autograd::Function<GeluFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, int64_t kind) {
    ctx->save_for_backward({x});
    ctx->saved_data["kind"] = kind;
    const at::Tensor input = Dense(x);
    at::Tensor y = at::empty_like(input);
    kernels::Gelu(static_cast<GeluKind>(kind), ElementType(input), input.const_data_ptr(), input.numel(), y.data_ptr());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor x = Dense(ctx->get_saved_variables()[0]), dy = grads[0].contiguous(x.suggest_memory_format());
    STOWAGE_CHECK(dy.scalar_type() == x.scalar_type()) << c10::toString(dy.scalar_type());
    at::Tensor dx = at::empty_like(x);
    kernels::GeluBackward(static_cast<GeluKind>(ctx->saved_data["kind"].toInt()), ElementType(x), x.const_data_ptr(),
                          dy.const_data_ptr(), x.numel(), dx.data_ptr());
    return {dx, Variable()};
  }
};

struct SwiGluFunction : torch::autograd::Function<SwiGluFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x) {
    ctx->save_for_backward({x});
    const at::Tensor input = x.contiguous();
    const int64_t width = input.size(-1) / 2;
    std::vector<int64_t> shape(input.sizes().begin(), input.sizes().end());
    shape.back() = width;
    at::Tensor y = at::empty(shape, input.options());
    kernels::SwiGlu(ElementType(input), input.const_data_ptr(), width == 0 ? 0 : y.numel() / width, width,
                    y.data_ptr());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor x = ctx->get_saved_variables()[0].contiguous(), dy = grads[0].contiguous();
    STOWAGE_CHECK(dy.scalar_type() == x.scalar_type()) << c10::toString(dy.scalar_type());
    const int64_t width = x.size(-1) / 2;
    at::Tensor dx = at::empty_like(x);
    kernels::SwiGluBackward(ElementType(x), x.const_data_ptr(), dy.const_data_ptr(),
                            width == 0 ? 0 : dy.numel() / width, width, dx.data_ptr());
    return {dx};
  }
};

struct ReluFunction : torch::autograd::Function<ReluFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, bool with_mask) {
    const at::Tensor input = Dense(x);
    at::Tensor y = at::empty_like(input), mask;
    if (with_mask) mask = at::empty({kernels::ReluMaskBytes(input.numel())}, input.options().dtype(at::kByte));
    kernels::Relu(ElementType(input), input.const_data_ptr(), input.numel(), y.data_ptr(),
                  with_mask ? mask.data_ptr<uint8_t>() : nullptr);
    if (with_mask) ctx->save_for_backward({mask});
    ctx->saved_data["format"] = static_cast<int64_t>(input.suggest_memory_format());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto format = static_cast<at::MemoryFormat>(ctx->saved_data["format"].toInt());
    const at::Tensor mask = ctx->get_saved_variables()[0], dy = grads[0].contiguous(format);
    at::Tensor dx = at::empty_like(dy);
    kernels::ReluBackward(ElementType(dy), mask.const_data_ptr<uint8_t>(), dy.const_data_ptr(), dy.numel(),
                          dx.data_ptr());
    return {dx, Variable()};
  }
};

}  // namespace

at::Tensor Gelu(const at::Tensor& x, GeluKind kind) { return GeluFunction::apply(x, static_cast<int64_t>(kind)); }

at::Tensor SwiGlu(const at::Tensor& x) {
  STOWAGE_CHECK(x.dim() > 0 && x.size(-1) % 2 == 0) << "SwiGLU of a tensor whose last dimension is not even";
  return SwiGluFunction::apply(x);
}

at::Tensor Relu(const at::Tensor& x) { return ReluFunction::apply(x, x.requires_grad() && at::GradMode::is_enabled()); }

}  // namespace stowage::ops
