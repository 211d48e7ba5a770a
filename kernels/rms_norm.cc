#include "kernels/rms_norm.h"

#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/norm_rows-inl.h"

// The arguments of the backward, as they were given. (Guarded: this file is included once per target.)
#ifndef STOWAGE_KERNELS_RMS_NORM_CC_ARGUMENTS_
#define STOWAGE_KERNELS_RMS_NORM_CC_ARGUMENTS_
namespace stowage::kernels {

struct RmsNormGradientArguments {
  const void *dy, *x;
  const float *weight, *rstd;
  const void* residual;
  int64_t rows, width;
  void* dx;
  float* scratch;  // per block: the weight's sums
};

}  // namespace stowage::kernels
#endif  // STOWAGE_KERNELS_RMS_NORM_CC_ARGUMENTS_

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

void RmsNormRows(DType dtype, const void* x, const float* weight, int64_t begin, int64_t end, int64_t width, float eps,
                 void* y, float* rstd) {
  if (dtype == DType::kBFloat16) {
    norm_rows::Forward<false>(static_cast<const uint16_t*>(x), weight, nullptr, begin, end, width, eps,
                              static_cast<uint16_t*>(y), nullptr, rstd);
  } else {
    norm_rows::Forward<false>(static_cast<const float*>(x), weight, nullptr, begin, end, width, eps,
                              static_cast<float*>(y), nullptr, rstd);
  }
}

namespace {

template <typename T>
void Block(const RmsNormGradientArguments& a, int64_t begin, int64_t end, float* weight_sum) {
  auto* backward = a.residual == nullptr ? &norm_rows::Backward<false, false, T> : &norm_rows::Backward<false, true, T>;
  backward(static_cast<const T*>(a.dy), static_cast<const T*>(a.x), a.weight, nullptr, a.rstd,
           static_cast<const T*>(a.residual), begin, end, a.width, static_cast<T*>(a.dx), weight_sum, nullptr);
}

}  // namespace

void RmsNormGradientBlock(DType dtype, const RmsNormGradientArguments& a, int64_t block) {
  const int64_t block_rows = NormBlockRows(a.rows), begin = block * block_rows;
  const int64_t end = begin + block_rows < a.rows ? begin + block_rows : a.rows;
  float* sums = a.scratch + block * a.width;
  std::memset(sums, 0, a.width * sizeof(float));
  auto* run = dtype == DType::kBFloat16 ? &Block<uint16_t> : &Block<float>;
  run(a, begin, end, sums);
}

void AddRmsNormBlocks(const float* sums, int64_t blocks, int64_t width, bool accumulate, int64_t begin, int64_t end,
                      float* to) {
  norm_rows::AddBlocks(sums, blocks, width, accumulate, begin, end, to);
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(RmsNormGradientBlock);
HWY_EXPORT(AddRmsNormBlocks);

// 16k elements a piece: below that, waking a thread costs more than it brings.
constexpr int64_t kGrainNumel = 16384;

void CheckArguments(DType dtype, int64_t width) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "RmsNorm of " << DTypeName(dtype);
  STOWAGE_CHECK(width > 0) << "RmsNorm of rows of " << width;
}

void AddUp(const float* sums, int64_t blocks, int64_t width, NormGradient gradient) {
  if (gradient.to == nullptr) return;
  ParallelFor(width, kGrainNumel / (blocks + 1) + 64, 16, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddRmsNormBlocks)(sums, blocks, width, gradient.accumulate, begin, end, gradient.to);
  });
}

}  // namespace

void RmsNorm(DType dtype, const void* x, const float* weight, int64_t rows, int64_t width, float eps, void* y,
             float* rstd) {
  CheckArguments(dtype, width);
  if (Dry()) return;
  ParallelFor(rows, kGrainNumel / width + 1, 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(RmsNormRows)(dtype, x, weight, begin, end, width, eps, y, rstd);
  });
}

void RmsNormBackward(DType dtype, const void* dy, const void* x, const float* weight, const float* rstd,
                     const void* residual, int64_t rows, int64_t width, void* dx, NormGradient weight_gradient,
                     float* scratch) {
  CheckArguments(dtype, width);
  if (Dry()) return;
  const RmsNormGradientArguments arguments{dy, x, weight, rstd, residual, rows, width, dx, scratch};
  const int64_t blocks = NormBlocks(rows);
  ParallelFor(blocks, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      HWY_DYNAMIC_DISPATCH(RmsNormGradientBlock)(dtype, arguments, block);
    }
  });
  AddUp(scratch, blocks, width, weight_gradient);
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
