#include "trainer/model/ops/embedding.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/bf16.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

float ToFloat(float x) { return x; }
float ToFloat(uint16_t x) { return kernels::Bf16ToFp32(x); }

// to[tokens[i]] += from[i] for all i in order. Threads take columns, not rows: no two write the same element, and
// each element is summed in token order. 16 columns are one cache line.
template <typename T>
void ScatterAddRows(const T* from, const int64_t* tokens, int64_t rows, const at::Tensor& to) {
  const int64_t width = to.size(1);
  float* target = to.data_ptr<float>();
  kernels::ParallelFor(width, 64, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; ++row) {
      float* t = target + tokens[row] * width;
      const T* s = from + row * width;
      for (int64_t column = begin; column < end; ++column) t[column] += ToFloat(s[column]);
    }
  });
}

// The same for a gradient in either dtype; `to` is fp32. Nothing in a dry run.
void ScatterAdd(const at::Tensor& dy, const at::Tensor& tokens, const at::Tensor& to) {
  if (kernels::Dry()) return;
  const int64_t* ids = tokens.const_data_ptr<int64_t>();
  if (dy.scalar_type() == at::kBFloat16) {
    ScatterAddRows(static_cast<const uint16_t*>(dy.const_data_ptr()), ids, tokens.numel(), to);
  } else {
    ScatterAddRows(dy.const_data_ptr<float>(), ids, tokens.numel(), to);
  }
}

struct EmbeddingFunction : torch::autograd::Function<EmbeddingFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& token, const std::optional<at::Tensor>& position,
                          const at::Tensor& tokens, int64_t dtype, int64_t token_slot, int64_t position_slot) {
    ctx->saved_data["tokens"] = tokens;
    ctx->saved_data["token_slot"] = token_slot;
    ctx->saved_data["position_slot"] = position_slot;
    at::Tensor out = at::embedding(token, tokens).to(static_cast<at::ScalarType>(dtype));
    if (position.has_value()) out.add_(position->narrow(0, 0, tokens.size(1)).to(out.scalar_type()));
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor tokens = ctx->saved_data["tokens"].toTensor();
    const at::Tensor dy = grads[0].contiguous();
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["token_slot"])) {
      slot->ZeroIfUnwritten();
      ScatterAdd(dy, tokens, slot->Write().view);
    }
    if (GradientSlot* slot = SlotFrom(ctx->saved_data["position_slot"])) {
      slot->ZeroIfUnwritten();
      slot->Write().view.narrow(0, 0, dy.size(1)).add_(dy.sum(0, /*keepdim=*/false, at::kFloat));
    }
    return {Variable(), Variable(), Variable(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor Embedding(const at::Tensor& tokens, const Parameter& token, const Parameter* position,
                     at::ScalarType dtype) {
  return EmbeddingFunction::apply(token.value, position ? std::optional<at::Tensor>(position->value) : std::nullopt,
                                  tokens, static_cast<int64_t>(dtype), SlotNumber(token.gradient),
                                  SlotNumber(position ? position->gradient : nullptr));
}

}  // namespace stowage::ops
