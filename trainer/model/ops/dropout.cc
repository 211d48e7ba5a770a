#include "trainer/model/ops/dropout.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels/cast.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"
#include "kernels/random.h"

namespace stowage::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// By way of fp32, a piece at a time: 16 KiB, which stays in the first-level cache. Nothing in a dry run, which the
// team's other threads do not know of.
void ApplyBf16(const uint16_t* in, uint16_t* out, int64_t numel, uint64_t key, float p) {
  if (kernels::Dry()) return;
  constexpr int64_t kPiece = 4096;
  kernels::ParallelFor(numel, kPiece, kPiece, [&](int64_t begin, int64_t end) {
    float piece[kPiece];
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t n = std::min(kPiece, end - i);
      kernels::CastBf16ToFp32(in + i, piece, n);
      kernels::Dropout(piece, piece, n, key, p, i);
      kernels::CastFp32ToBf16(piece, out + i, n);
    }
  });
}

at::Tensor Apply(const at::Tensor& x, double p, uint64_t key) {
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in);
  if (in.scalar_type() == at::kBFloat16) {
    ApplyBf16(static_cast<const uint16_t*>(in.const_data_ptr()), static_cast<uint16_t*>(out.data_ptr()), in.numel(),
              key, static_cast<float>(p));
  } else {
    kernels::Dropout(in.const_data_ptr<float>(), out.data_ptr<float>(), in.numel(), key, static_cast<float>(p));
  }
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
