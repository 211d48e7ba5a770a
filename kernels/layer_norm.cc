#include "kernels/layer_norm.h"

#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/norm_rows-inl.h"

// The arguments of the backward, as they were given. (Guarded: this file is included once per target.)
#ifndef STOWAGE_KERNELS_LAYER_NORM_CC_ARGUMENTS_
#define STOWAGE_KERNELS_LAYER_NORM_CC_ARGUMENTS_
namespace stowage::kernels {

struct LayerNormGradientArguments {
  const void *dy, *x;
  const float *weight, *mean, *rstd;
  const void* residual;
  int64_t rows, width;
  void* dx;
  float* scratch;  // per block: the weight's sums, the bias's sums
};

}  // namespace stowage::kernels
#endif  // STOWAGE_KERNELS_LAYER_NORM_CC_ARGUMENTS_

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

void LayerNormRows(DType dtype, const void* x, const float* weight, const float* bias, int64_t begin, int64_t end,
                   int64_t width, float eps, void* y, float* mean, float* rstd) {
  if (dtype == DType::kBFloat16) {
    norm_rows::Forward<true>(static_cast<const uint16_t*>(x), weight, bias, begin, end, width, eps,
                             static_cast<uint16_t*>(y), mean, rstd);
  } else {
    norm_rows::Forward<true>(static_cast<const float*>(x), weight, bias, begin, end, width, eps, static_cast<float*>(y),
                             mean, rstd);
  }
}

namespace {

template <typename T>
void Block(const LayerNormGradientArguments& a, int64_t begin, int64_t end, float* weight_sum, float* bias_sum) {
  auto* backward = a.residual == nullptr ? &norm_rows::Backward<true, false, T> : &norm_rows::Backward<true, true, T>;
  backward(static_cast<const T*>(a.dy), static_cast<const T*>(a.x), a.weight, a.mean, a.rstd,
           static_cast<const T*>(a.residual), begin, end, a.width, static_cast<T*>(a.dx), weight_sum, bias_sum);
}

}  // namespace

void LayerNormGradientBlock(DType dtype, const LayerNormGradientArguments& a, int64_t block) {
  const int64_t block_rows = NormBlockRows(a.rows), begin = block * block_rows;
  const int64_t end = begin + block_rows < a.rows ? begin + block_rows : a.rows;
  float* sums = a.scratch + block * 2 * a.width;
  std::memset(sums, 0, 2 * a.width * sizeof(float));
  auto* run = dtype == DType::kBFloat16 ? &Block<uint16_t> : &Block<float>;
  run(a, begin, end, sums, sums + a.width);
}

void AddLayerNormBlocks(const float* sums, int64_t blocks, int64_t width, bool accumulate, int64_t begin, int64_t end,
                        float* to) {
  norm_rows::AddBlocks(sums, blocks, 2 * width, accumulate, begin, end, to);
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(LayerNormRows);
HWY_EXPORT(LayerNormGradientBlock);
HWY_EXPORT(AddLayerNormBlocks);

// 16k elements a piece: below that, waking a thread costs more than it brings.
constexpr int64_t kGrainNumel = 16384;

void CheckArguments(DType dtype, int64_t width) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "LayerNorm of " << DTypeName(dtype);
  STOWAGE_CHECK(width > 0) << "LayerNorm of rows of " << width;
}

void AddUp(const float* sums, int64_t blocks, int64_t width, NormGradient gradient) {
  if (gradient.to == nullptr) return;
  ParallelFor(width, kGrainNumel / (blocks + 1) + 64, 16, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddLayerNormBlocks)(sums, blocks, width, gradient.accumulate, begin, end, gradient.to);
  });
}

}  // namespace

void LayerNorm(DType dtype, const void* x, const float* weight, const float* bias, int64_t rows, int64_t width,
               float eps, void* y, float* mean, float* rstd) {
  CheckArguments(dtype, width);
  if (Dry()) return;
  ParallelFor(rows, kGrainNumel / width + 1, 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(LayerNormRows)(dtype, x, weight, bias, begin, end, width, eps, y, mean, rstd);
  });
}

void LayerNormBackward(DType dtype, const void* dy, const void* x, const float* weight, const float* mean,
                       const float* rstd, const void* residual, int64_t rows, int64_t width, void* dx,
                       NormGradient weight_gradient, NormGradient bias_gradient, float* scratch) {
  CheckArguments(dtype, width);
  if (Dry()) return;
  const LayerNormGradientArguments arguments{dy, x, weight, mean, rstd, residual, rows, width, dx, scratch};
  const int64_t blocks = NormBlocks(rows);
  ParallelFor(blocks, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      HWY_DYNAMIC_DISPATCH(LayerNormGradientBlock)(dtype, arguments, block);
    }
  });
  AddUp(scratch, blocks, width, weight_gradient);
  AddUp(scratch + width, blocks, width, bias_gradient);
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
