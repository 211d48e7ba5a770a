#include "trainer/rehearsal/shape_functions.h"

#include <ATen/ExpandUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/ConvUtils.h>

#include <algorithm>
#include <array>
#include <map>

#include "trainer/rehearsal/meta_view.h"

namespace stowage {
namespace {

using Values = std::vector<c10::IValue>;

at::Tensor Like(const at::Tensor& x) {
  return x.is_non_overlapping_and_dense() ? DryEmpty(x.sizes(), x.strides(), x.scalar_type())
                                          : DryEmpty(x.sizes(), x.scalar_type());
}

at::Tensor ContiguousLike(const at::Tensor& x) { return DryEmpty(x.sizes(), x.scalar_type()); }

at::Tensor InFormatOf(const at::Tensor& x, const std::vector<int64_t>& sizes) {
  if (x.suggest_memory_format() == at::MemoryFormat::ChannelsLast && sizes.size() == 4) {
    return DryEmpty(sizes, c10::get_channels_last_strides_2d(sizes), x.scalar_type());
  }
  return DryEmpty(sizes, x.scalar_type());
}

bool Wanted(const c10::IValue& mask, int i) { return mask.toBoolList().get(i); }

// index_select(self, dim, index)
Values IndexSelect(const Values& a) {
  const at::Tensor self = a[0].toTensor();
  std::vector<int64_t> sizes = self.sizes().vec();
  if (!sizes.empty()) sizes[c10::maybe_wrap_dim(a[1].toInt(), self.dim())] = a[2].toTensor().numel();
  return {DryEmpty(sizes, self.scalar_type())};
}

// embedding_dense_backward(grad, indices, num_weights, padding_idx, scale_grad_by_freq)
Values EmbeddingDenseBackward(const Values& a) {
  const at::Tensor grad = a[0].toTensor();
  return {DryEmpty({a[2].toInt(), grad.size(-1)}, grad.scalar_type())};
}

// The first sizes of x, with ones behind, which layer norm's statistics have.
std::vector<int64_t> StatisticsSizes(const at::Tensor& x, size_t normalized_dims) {
  std::vector<int64_t> sizes = x.sizes().vec();
  std::fill(sizes.end() - static_cast<int64_t>(normalized_dims), sizes.end(), 1);
  return sizes;
}

// LibTorch's CPU kernel keeps statistics in the input's type, or in the parameters' where these are wider.
at::ScalarType StatisticsType(const at::Tensor& x, const c10::IValue& weight) {
  return weight.isTensor() && weight.toTensor().defined() ? weight.toTensor().scalar_type() : x.scalar_type();
}

// native_layer_norm(input, normalized_shape, weight, bias, eps)
Values LayerNorm(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  const std::vector<int64_t> sizes = StatisticsSizes(x, a[1].toIntVector().size());
  const at::ScalarType type = StatisticsType(x, a[2]);
  return {ContiguousLike(x), DryEmpty(sizes, type), DryEmpty(sizes, type)};
}

at::Tensor OrNone(bool wanted, const c10::IValue& like) {
  return wanted && like.isTensor() && like.toTensor().defined() ? ContiguousLike(like.toTensor()) : at::Tensor();
}

// native_layer_norm_backward(grad_out, input, normalized_shape, mean, rstd, weight, bias, output_mask)
Values LayerNormBackward(const Values& a) {
  return {Wanted(a[7], 0) ? ContiguousLike(a[1].toTensor()) : at::Tensor(), OrNone(Wanted(a[7], 1), a[5]),
          OrNone(Wanted(a[7], 2), a[6])};
}

// native_group_norm(input, weight, bias, N, C, HxW, group, eps)
Values GroupNorm(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  const at::ScalarType type = StatisticsType(x, a[1]);
  return {InFormatOf(x, x.sizes().vec()), DryEmpty({a[3].toInt(), a[6].toInt()}, type),
          DryEmpty({a[3].toInt(), a[6].toInt()}, type)};
}

// native_group_norm_backward(grad_out, input, mean, rstd, weight, N, C, HxW, group, output_mask)
Values GroupNormBackward(const Values& a) {
  const at::Tensor x = a[1].toTensor();
  const at::ScalarType type = StatisticsType(x, a[4]);
  const int64_t channels = a[6].toInt();
  return {Wanted(a[9], 0) ? InFormatOf(x, x.sizes().vec()) : at::Tensor(),
          Wanted(a[9], 1) ? DryEmpty({channels}, type) : at::Tensor(),
          Wanted(a[9], 2) ? DryEmpty({channels}, type) : at::Tensor()};
}

// native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
Values BatchNorm(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  const int64_t statistics = a[5].toBool() ? x.size(1) : 0;
  const at::ScalarType type = StatisticsType(x, a[1]);
  return {InFormatOf(x, x.sizes().vec()), DryEmpty({statistics}, type), DryEmpty({statistics}, type)};
}

// native_batch_norm_backward(grad_out, input, weight, running_mean, running_var, save_mean, save_invstd, train, eps,
// output_mask)
Values BatchNormBackward(const Values& a) {
  const at::Tensor x = a[1].toTensor();
  const at::ScalarType type = StatisticsType(x, a[2]);
  return {Wanted(a[9], 0) ? InFormatOf(x, x.sizes().vec()) : at::Tensor(),
          Wanted(a[9], 1) ? DryEmpty({x.size(1)}, type) : at::Tensor(),
          Wanted(a[9], 2) ? DryEmpty({x.size(1)}, type) : at::Tensor()};
}

std::vector<int64_t> Spread(const std::vector<int64_t>& values, size_t dims) {
  return values.size() == 1 ? std::vector<int64_t>(dims, values[0]) : values;
}

// convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
Values Convolution(const Values& a) {
  const at::Tensor x = a[0].toTensor(), weight = a[1].toTensor();
  const size_t dims = static_cast<size_t>(weight.dim() - 2);
  const std::vector<int64_t> stride = Spread(a[3].toIntVector(), dims), padding = Spread(a[4].toIntVector(), dims),
                             dilation = Spread(a[5].toIntVector(), dims);
  const std::vector<int64_t> sizes =
      a[6].toBool() ? at::native::conv_input_size(x.sizes(), weight.sizes(), padding,
                                                  Spread(a[7].toIntVector(), dims), stride, dilation, a[8].toInt())
                    : at::native::conv_output_size(x.sizes(), weight.sizes(), padding, stride, dilation);
  const bool channels_last = x.suggest_memory_format() == at::MemoryFormat::ChannelsLast ||
                             weight.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  if (channels_last && sizes.size() == 4) {
    return {DryEmpty(sizes, c10::get_channels_last_strides_2d(sizes), x.scalar_type())};
  }
  return {DryEmpty(sizes, x.scalar_type())};
}

// convolution_backward(grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding,
// groups, output_mask)
Values ConvolutionBackward(const Values& a) {
  const at::Tensor x = a[1].toTensor(), weight = a[2].toTensor();
  const int64_t channels = a[7].toBool() ? weight.size(1) * a[9].toInt() : weight.size(0);
  return {Wanted(a[10], 0) ? InFormatOf(x, x.sizes().vec()) : at::Tensor(),
          Wanted(a[10], 1) ? InFormatOf(x, weight.sizes().vec()) : at::Tensor(),
          Wanted(a[10], 2) ? DryEmpty({channels}, x.scalar_type()) : at::Tensor()};
}

// _scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout_p, is_causal, attn_mask, scale)
Values FlashAttention(const Values& a) {
  const at::Tensor q = a[0].toTensor();
  const std::vector<int64_t> sizes = {q.size(0), q.size(2), q.size(1), q.size(3)};
  const auto type = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor log_sum_exp = DryEmpty({q.size(0), q.size(2), q.size(1)}, type);
  return {DryEmpty(sizes, q.scalar_type()).transpose(1, 2), log_sum_exp.transpose(1, 2)};
}

// _scaled_dot_product_flash_attention_for_cpu_backward(grad_out, query, key, value, out, logsumexp, dropout_p,
// is_causal, attn_mask, scale)
Values FlashAttentionBackward(const Values& a) {
  Values gradients;
  for (int i = 1; i <= 3; ++i) {
    const at::Tensor x = a[i].toTensor();
    gradients.push_back(DryEmpty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.scalar_type()).transpose(1, 2));
  }
  return gradients;
}

// relu(self), abs(self) of real numbers
Values Unary(const Values& a) { return {Like(a[0].toTensor())}; }

// where.self(condition, self, other)
Values Where(const Values& a) {
  const at::Tensor x = a[1].toTensor(), y = a[2].toTensor();
  const std::vector<int64_t> sizes = at::infer_size(a[0].toTensor().sizes(), at::infer_size(x.sizes(), y.sizes()));
  return {DryEmpty(sizes, at::result_type(x, y))};
}

// Losses' backward with a reduction: the gradient has the input's shape. (grad_output, self, target, ...)
Values LossBackward(const Values& a) { return {ContiguousLike(a[1].toTensor())}; }

constexpr int64_t kNoReduction = 0;

// mse_loss and the like have Meta kernels; binary_cross_entropy(self, target, weight, reduction) has none.
Values BinaryCrossEntropy(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  return {a[3].toInt() == kNoReduction ? ContiguousLike(x) : DryEmpty({}, x.scalar_type())};
}

// huber_loss(self, target, reduction, delta)
Values HuberLoss(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  return {a[2].toInt() == kNoReduction ? ContiguousLike(x) : DryEmpty({}, x.scalar_type())};
}

// var.correction and std.correction(self, dim, correction, keepdim)
Values Variance(const Values& a) {
  const at::Tensor x = a[0].toTensor();
  std::vector<bool> reduced(x.dim(), a[1].isNone() || a[1].toIntVector().empty());
  if (!a[1].isNone()) {
    for (int64_t d : a[1].toIntVector()) reduced[c10::maybe_wrap_dim(d, x.dim())] = true;
  }
  std::vector<int64_t> sizes;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (!reduced[d]) {
      sizes.push_back(x.size(d));
    } else if (a[3].toBool()) {
      sizes.push_back(1);
    }
  }
  return {DryEmpty(sizes, x.scalar_type())};
}

const std::map<std::string, ShapeFunction>& Table() {
  static const auto* const table = new std::map<std::string, ShapeFunction>{
      {"aten::index_select", IndexSelect},
      {"aten::embedding_dense_backward", EmbeddingDenseBackward},
      {"aten::native_layer_norm", LayerNorm},
      {"aten::native_layer_norm_backward", LayerNormBackward},
      {"aten::native_group_norm", GroupNorm},
      {"aten::native_group_norm_backward", GroupNormBackward},
      {"aten::native_batch_norm", BatchNorm},
      {"aten::native_batch_norm_backward", BatchNormBackward},
      {"aten::convolution", Convolution},
      {"aten::convolution_backward", ConvolutionBackward},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", FlashAttention},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward", FlashAttentionBackward},
      {"aten::abs", Unary},
      {"aten::relu", Unary},
      {"aten::where.self", Where},
      {"aten::mse_loss_backward", LossBackward},
      {"aten::huber_loss", HuberLoss},
      {"aten::huber_loss_backward", LossBackward},
      {"aten::binary_cross_entropy", BinaryCrossEntropy},
      {"aten::binary_cross_entropy_backward", LossBackward},
      {"aten::var.correction", Variance},
      {"aten::std.correction", Variance},
  };
  return *table;
}

}  // namespace

ShapeFunction ShapeFunctionOf(const std::string& name) {
  const auto found = Table().find(name);
  return found == Table().end() ? nullptr : found->second;
}

std::vector<std::string> ShapeFunctionNames() {
  std::vector<std::string> names;
  for (const auto& [name, function] : Table()) names.push_back(name);
  return names;
}

}  // namespace stowage
