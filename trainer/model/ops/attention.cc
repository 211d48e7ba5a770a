#include "trainer/model/ops/attention.h"

#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/split.h>

namespace stowage::ops {

at::Tensor CausalAttention(const at::Tensor& qkv, int64_t heads) {
  const int64_t n = qkv.size(0), t = qkv.size(1), width = qkv.size(2) / 3;
  const auto parts = qkv.split(width, 2);
  const auto by_head = [&](const at::Tensor& x) { return x.view({n, t, heads, width / heads}).transpose(1, 2); };
  at::Tensor out = at::scaled_dot_product_attention(by_head(parts[0]), by_head(parts[1]), by_head(parts[2]), {},
                                                    /*dropout_p=*/0.0, /*is_causal=*/true);
  return out.transpose(1, 2).reshape({n, t, width});
}

}  // namespace stowage::ops
