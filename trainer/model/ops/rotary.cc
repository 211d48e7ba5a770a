#include "trainer/model/ops/rotary.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

#include "base/check.h"
#include "kernels/rotary.h"
#include "memory/category_scope.h"
#include "trainer/model/ops/element_type.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// from -> to, both contiguous [n, t, columns], by the table's angles, `heads` from the left.
void Turn(const at::Tensor& from, int64_t heads, const at::Tensor& cos, const at::Tensor& sin, bool inverse,
          const at::Tensor& to) {
  kernels::RotaryShape shape;
  shape.samples = from.size(0);
  shape.positions = from.size(1);
  shape.row_numel = from.size(2);
  shape.heads = heads;
  shape.head_dim = 2 * cos.size(1);
  kernels::Rotary(ElementType(from), shape, cos.const_data_ptr<float>(), sin.const_data_ptr<float>(), inverse,
                  from.const_data_ptr(), to.data_ptr());
}

struct RotaryFunction : torch::autograd::Function<RotaryFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          int64_t heads) {
    ctx->save_for_backward({cos, sin});
    ctx->saved_data["heads"] = heads;
    Turn(qkv, heads, cos, sin, /*inverse=*/false, qkv);
    // The result is another tensor with the same bytes. Autograd's own way (mark_dirty) is refused for views, as which
    // the output of a Linear counts. Whoever kept the input for a backward of theirs is told by its version.
    torch::autograd::impl::bump_version(qkv);
    return qkv.variable_data();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& dy = grads[0];
    // What the operator before made for us alone is turned back where it lies.
    const bool ours = dy.use_count() == 1 && dy.storage().use_count() == 1 && dy.is_contiguous();
    const at::Tensor from = dy.contiguous();
    const at::Tensor dx = ours ? dy : at::empty_like(from);
    Turn(from, ctx->saved_data["heads"].toInt(), saved[0], saved[1], /*inverse=*/true, dx);
    return {dx, Variable(), Variable(), Variable()};
  }
};

}  // namespace

RotaryTable::RotaryTable(int64_t context, int64_t head_dim, double theta)
    : context_(context), head_dim_(head_dim), theta_(theta) {
  STOWAGE_CHECK(context > 0 && head_dim > 0 && head_dim % 2 == 0 && theta > 0.0)
      << "rotary table of " << context << " positions, head_dim " << head_dim << ", theta " << theta;
}

void RotaryTable::Make() const {
  at::NoGradGuard constant;
  CategoryScope scope(Category::kWorkspace);  // no activation: it outlives the pass that asks for it first
  const at::Tensor exponents = at::arange(0, head_dim_, 2, at::kLong).to(at::kFloat).div(head_dim_);
  const at::Tensor frequencies = at::pow(theta_, exponents).reciprocal();
  const at::Tensor angles = at::outer(at::arange(context_, at::kLong).to(at::kFloat), frequencies);
  cos_ = angles.cos();
  sin_ = angles.sin();
}

const at::Tensor& RotaryTable::cos() const {
  std::call_once(once_, [this] { Make(); });
  return cos_;
}

const at::Tensor& RotaryTable::sin() const {
  std::call_once(once_, [this] { Make(); });
  return sin_;
}

at::Tensor Rotary(at::Tensor qkv, int64_t heads, int64_t kv_heads, const RotaryTable& table) {
  const int64_t head_dim = table.head_dim();
  STOWAGE_CHECK(qkv.dim() == 3 && qkv.size(2) == (heads + 2 * kv_heads) * head_dim && qkv.size(1) <= table.context())
      << "rotary embedding of [" << qkv.sizes() << "] with " << heads << " + " << kv_heads << " heads of " << head_dim
      << ", context " << table.context();
  STOWAGE_CHECK(!at::GradMode::is_enabled() || !qkv.requires_grad() || !qkv.is_leaf()) << "a leaf is not written";
  qkv = qkv.contiguous();
  return RotaryFunction::apply(qkv, table.cos(), table.sin(), heads + kv_heads);
}

}  // namespace stowage::ops
