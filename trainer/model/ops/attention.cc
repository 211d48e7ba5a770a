#include "trainer/model/ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/dtype.h"

namespace stowage::ops {
namespace {

using kernels::AttentionTensor;
using kernels::ConstAttentionTensor;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// What a pass of the kernel is about, as far as tensors do not say it.
struct Problem {
  kernels::AttentionShape shape;
  kernels::AttentionOptions options;
  DType dtype;
};

// [n, heads, t, head_dim] as the kernel sees it.
AttentionTensor View(const at::Tensor& x) {
  return {const_cast<void*>(x.const_data_ptr()), x.stride(0), x.stride(1), x.stride(2)};
}

kernels::AttentionMask MaskView(const at::Tensor& mask) {
  kernels::AttentionMask view;
  if (!mask.defined()) return view;
  using Kind = kernels::AttentionMask::Kind;
  view.kind = mask.scalar_type() == at::kBool ? Kind::kVisible : Kind::kAdded;
  view.data = mask.const_data_ptr();
  view.sample_stride = mask.stride(0);
  view.head_stride = mask.stride(1);
  view.query_stride = mask.stride(2);
  view.key_stride = mask.stride(3);
  return view;
}

at::Tensor WithContiguousRows(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

// As tensors, so that these bytes are counted and limited like all others.
struct Scratch {
  Scratch(int64_t numel_a_worker, int64_t most_workers)
      : workers(std::max<int64_t>(
            1, std::min<int64_t>(at::in_parallel_region() ? 1 : at::get_num_threads(), most_workers))),
        buffer(at::empty({workers * numel_a_worker}, at::kFloat)) {}
  const int64_t workers;
  at::Tensor buffer;
};

Problem MakeProblem(const at::Tensor& q, const at::Tensor& k, const AttentionOptions& options) {
  Problem problem;
  problem.shape = {q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3)};
  problem.options.causal = options.causal;
  problem.options.scale = static_cast<float>(options.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3)))));
  problem.options.chunk = options.chunk;
  problem.dtype = q.scalar_type() == at::kFloat ? DType::kFloat32 : DType::kBFloat16;
  return problem;
}

// Returns log-sum-exp [n, heads, t_q].
at::Tensor Forward(const AttentionOptions& options, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   const at::Tensor& mask, const at::Tensor& out) {
  const Problem problem = MakeProblem(q, k, options);
  at::Tensor log_sum_exp = at::empty({q.size(0), q.size(1), q.size(2)}, at::kFloat);
  const Scratch scratch(kernels::AttentionForwardScratchNumel(problem.shape, problem.options),
                        kernels::AttentionForwardMaxWorkers(problem.shape, problem.options));
  kernels::AttentionForward(problem.shape, problem.options, problem.dtype, View(q), View(k), View(v), MaskView(mask),
                            View(out), log_sum_exp.data_ptr<float>(), scratch.buffer.data_ptr<float>(),
                            scratch.workers);
  return log_sum_exp;
}

void Backward(const AttentionOptions& options, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
              const at::Tensor& mask, const at::Tensor& out, const at::Tensor& log_sum_exp, const at::Tensor& dout,
              const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv) {
  const Problem problem = MakeProblem(q, k, options);
  const Scratch scratch(kernels::AttentionBackwardScratchNumel(problem.shape, problem.options),
                        kernels::AttentionBackwardMaxWorkers(problem.shape));
  kernels::AttentionBackward(problem.shape, problem.options, problem.dtype, View(q), View(k), View(v), MaskView(mask),
                             View(out), log_sum_exp.const_data_ptr<float>(), View(dout), {View(dq), View(dk), View(dv)},
                             scratch.buffer.data_ptr<float>(), scratch.workers);
}

// [n, t, heads * head_dim], any strides but the last -> [n, heads, t, head_dim] in place.
at::Tensor ByHead(const at::Tensor& rows, int64_t heads) {
  return rows.unflatten(2, {heads, rows.size(2) / heads}).transpose(1, 2);
}

struct Packed {
  Packed(const at::Tensor& qkv, int64_t heads, int64_t kv_heads) {
    const int64_t head_dim = qkv.size(2) / (heads + 2 * kv_heads);
    q = ByHead(qkv.narrow(2, 0, heads * head_dim), heads);
    k = ByHead(qkv.narrow(2, heads * head_dim, kv_heads * head_dim), kv_heads);
    v = ByHead(qkv.narrow(2, (heads + kv_heads) * head_dim, kv_heads * head_dim), kv_heads);
  }
  at::Tensor q, k, v;
};

void Keep(AutogradContext* ctx, const AttentionOptions& options) {
  ctx->saved_data["causal"] = options.causal;
  ctx->saved_data["chunk"] = options.chunk;
  if (options.scale) ctx->saved_data["scale"] = *options.scale;
}

AttentionOptions Kept(AutogradContext* ctx) {
  AttentionOptions options;
  options.causal = ctx->saved_data["causal"].toBool();
  options.chunk = ctx->saved_data["chunk"].toInt();
  const auto scale = ctx->saved_data.find("scale");
  if (scale != ctx->saved_data.end()) options.scale = scale->second.toDouble();
  return options;
}

struct SelfAttentionFunction : torch::autograd::Function<SelfAttentionFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& qkv, int64_t heads, int64_t kv_heads,
                          const AttentionOptions& options) {
    const Packed x(qkv, heads, kv_heads);
    at::Tensor out = at::empty({qkv.size(0), qkv.size(1), heads * x.q.size(3)}, qkv.options());
    const at::Tensor log_sum_exp = Forward(options, x.q, x.k, x.v, {}, ByHead(out, heads));
    Keep(ctx, options);
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["kv_heads"] = kv_heads;
    ctx->save_for_backward({qkv, out, log_sum_exp});
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &qkv = saved[0], &out = saved[1], &log_sum_exp = saved[2];
    const int64_t heads = ctx->saved_data["heads"].toInt(), kv_heads = ctx->saved_data["kv_heads"].toInt();
    const Packed x(qkv, heads, kv_heads);
    at::Tensor dqkv = at::empty(qkv.sizes(), qkv.options());
    const Packed dx(dqkv, heads, kv_heads);
    Backward(Kept(ctx), x.q, x.k, x.v, {}, ByHead(out, heads), log_sum_exp, ByHead(WithContiguousRows(grads[0]), heads),
             dx.q, dx.k, dx.v);
    return {dqkv, Variable(), Variable(), Variable()};
  }
};

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& q, const Variable& k, const Variable& v,
                          const std::optional<at::Tensor>& given_mask, const AttentionOptions& options) {
    const at::Tensor mask = given_mask.value_or(at::Tensor());
    at::Tensor out = at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
    const at::Tensor log_sum_exp = Forward(options, q, k, v, mask, out);
    Keep(ctx, options);
    ctx->save_for_backward({q, k, v, mask, out, log_sum_exp});
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    // Of an expanded tensor (stride 0) the gradient needs memory of its own for each element.
    at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options());
    at::Tensor dv = at::empty(v.sizes(), v.options());
    Backward(Kept(ctx), q, k, v, saved[3], saved[4], saved[5], WithContiguousRows(grads[0]), dq, dk, dv);
    return {dq, dk, dv, Variable(), Variable()};
  }
};

std::optional<at::Tensor> Optional(const at::Tensor& x) {
  return x.defined() ? std::optional<at::Tensor>(x) : std::nullopt;
}

void CheckChunked(const at::Tensor& x, const AttentionOptions& options) {
  TORCH_CHECK(x.device().is_cpu(), "chunked attention computes on CPUs, the tensors are on ", x.device(),
              "; use kFused");
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16,
              "chunked attention takes fp32 or bf16, found ", x.scalar_type(), "; use kFused");
  TORCH_CHECK(options.chunk > 0, "chunk must be 1 or more, found ", options.chunk);
}

at::Tensor Fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                 const AttentionOptions& options) {
  TORCH_CHECK(!(options.causal && mask.defined()),
              "LibTorch's fused attention takes causal or a mask, not both: use kChunked");
  return at::scaled_dot_product_attention(q, k, v, Optional(mask), /*dropout_p=*/0.0, options.causal, options.scale,
                                          /*enable_gqa=*/q.size(1) != k.size(1));
}

// Broadcast, and fp32 if it is floating.
at::Tensor FullMask(const at::Tensor& mask, const at::Tensor& q, const at::Tensor& k) {
  if (!mask.defined()) return mask;
  TORCH_CHECK(!mask.requires_grad(), "attention gives its mask no gradient, and this mask wants one");
  TORCH_CHECK(mask.scalar_type() == at::kBool || mask.is_floating_point(),
              "an attention mask is bool or floating, found ", mask.scalar_type());
  const at::Tensor typed = mask.scalar_type() == at::kBool ? mask : mask.to(at::kFloat);
  return typed.expand({q.size(0), q.size(1), q.size(2), k.size(2)});
}

}  // namespace

AttentionKind AttentionKindFrom(absl::string_view word) {
  if (word == "auto") return AttentionKind::kAuto;
  if (word == "fused") return AttentionKind::kFused;
  STOWAGE_CHECK(word == "chunked") << "attention kind " << std::string(word);
  return AttentionKind::kChunked;
}

AttentionKind SelectAttention(AttentionKind asked, c10::DeviceType device, int64_t tokens) {
  if (asked != AttentionKind::kAuto) return asked;
  if (device == c10::DeviceType::CPU) return AttentionKind::kChunked;
  return tokens > kLongestChunkedTokens ? AttentionKind::kFused : AttentionKind::kChunked;
}

at::Tensor SelfAttention(const at::Tensor& qkv, int64_t heads, int64_t kv_heads, const AttentionOptions& options) {
  TORCH_CHECK(qkv.dim() == 3, "packed queries, keys and values are [n, t, width], found ", qkv.sizes());
  TORCH_CHECK(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "kv_heads (", kv_heads, ") must divide heads (",
              heads, ")");
  TORCH_CHECK(qkv.size(2) > 0 && qkv.size(2) % (heads + 2 * kv_heads) == 0, "a row of ", qkv.size(2),
              " elements is no multiple of heads + 2 * kv_heads = ", heads + 2 * kv_heads);
  const AttentionKind kind = SelectAttention(options.kind, qkv.device().type(), qkv.size(1));
  if (kind == AttentionKind::kFused) {
    const Packed x(qkv, heads, kv_heads);
    return Fused(x.q, x.k, x.v, {}, options).transpose(1, 2).reshape({qkv.size(0), qkv.size(1), -1});
  }
  CheckChunked(qkv, options);
  return SelfAttentionFunction::apply(WithContiguousRows(qkv), heads, kv_heads, options);
}

at::Tensor Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                     const AttentionOptions& options) {
  TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                  q.size(3) == k.size(3) && q.size(3) > 0,
              "attention takes q [n, heads, t_q, d] and k, v [n, kv_heads, t_k, d], found ", q.sizes(), ", ", k.sizes(),
              ", ", v.sizes());
  TORCH_CHECK(q.size(1) > 0 && k.size(1) > 0 && q.size(1) % k.size(1) == 0, "kv_heads (", k.size(1),
              ") must divide heads (", q.size(1), ")");
  TORCH_CHECK(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
              "queries, keys and values differ in dtype: ", q.scalar_type(), ", ", k.scalar_type(), ", ",
              v.scalar_type());
  const AttentionKind kind = SelectAttention(options.kind, q.device().type(), std::max(q.size(2), k.size(2)));
  const at::Tensor full_mask = FullMask(mask, q, k);
  if (kind == AttentionKind::kFused) return Fused(q, k, v, mask, options);
  CheckChunked(q, options);
  return AttentionFunction::apply(WithContiguousRows(q), WithContiguousRows(k), WithContiguousRows(v),
                                  Optional(full_mask), options);
}

}  // namespace stowage::ops
