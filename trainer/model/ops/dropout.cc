#include "trainer/model/ops/dropout.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/random.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor Apply(const at::Tensor& x, double p, uint64_t key) {
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in);
  kernels::Dropout(in.const_data_ptr<float>(), out.data_ptr<float>(), in.numel(), key, static_cast<float>(p));
  return out;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, double p, int64_t key) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return Apply(x, p, static_cast<uint64_t>(key));
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {Apply(grads[0], ctx->saved_data["p"].toDouble(), static_cast<uint64_t>(ctx->saved_data["key"].toInt())),
            Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Dropout(const at::Tensor& x, double p, uint64_t key) {
  if (p == 0.0) return x;
  return DropoutFunction::apply(x, p, static_cast<int64_t>(key));
}

}  // namespace stowage::ops
