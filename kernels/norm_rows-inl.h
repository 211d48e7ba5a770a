// The row norms' loops: LayerNorm (kCentre: less the mean) and RMSNorm differ in little.
// Included once per target (Highway's way), so after HWY_TARGET_INCLUDE and highway.h.
#if defined(STOWAGE_KERNELS_NORM_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_NORM_ROWS_INL_H_
#undef STOWAGE_KERNELS_NORM_ROWS_INL_H_
#else
#define STOWAGE_KERNELS_NORM_ROWS_INL_H_
#endif

#include <cmath>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace norm_rows {

namespace hn = hwy::HWY_NAMESPACE;

// Sums over a row go into this many vectors in turn: one would wait for its own last addition.
constexpr int64_t kSums = 4;

HWY_INLINE float Total(const FloatVector (&sums)[kSums]) {
  return hn::GetLane(hn::SumOfLanes(Float(), hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

// term(sum, elements) over a row, `term` adding something of the elements to the sum; the tail's padding does not
// count.
template <typename T, class Term>
HWY_INLINE float RowSum(const T* x, int64_t width, const Term& term) {
  FloatVector sums[kSums] = {hn::Zero(Float()), hn::Zero(Float()), hn::Zero(Float()), hn::Zero(Float())};
  int64_t i = 0;
  for (; i + kSums * kFloatLanes <= width; i += kSums * kFloatLanes) {
    sums[0] = term(sums[0], LoadElements(x + i));
    sums[1] = term(sums[1], LoadElements(x + i + kFloatLanes));
    sums[2] = term(sums[2], LoadElements(x + i + 2 * kFloatLanes));
    sums[3] = term(sums[3], LoadElements(x + i + 3 * kFloatLanes));
  }
  for (; i + kFloatLanes <= width; i += kFloatLanes) sums[0] = term(sums[0], LoadElements(x + i));
  if (i < width) {
    const auto inside = hn::FirstN(Float(), static_cast<size_t>(width - i));
    sums[1] = hn::IfThenElse(inside, term(sums[1], LoadPart(x + i, width - i)), sums[1]);
  }
  return Total(sums);
}

// `mean` null and unused unless kCentre; bias may be null.
template <bool kCentre, typename T>
void Forward(const T* x, const float* weight, const float* bias, int64_t begin, int64_t end, int64_t width, float eps,
             T* y, float* mean, float* rstd) {
  const float inverse_width = 1.0f / static_cast<float>(width);
  for (int64_t row = begin; row < end; ++row) {
    const T* from = x + row * width;
    T* to = y + row * width;
    float shift = 0.0f;
    if (kCentre) {
      shift = RowSum(from, width, [](auto sum, auto v) { return hn::Add(sum, v); }) * inverse_width;
      mean[row] = shift;
    }
    // Of differences from the mean, as squares less the mean's square lose digits where the mean is large.
    const auto m = hn::Set(Float(), shift);
    const float squares = RowSum(from, width, [m](auto sum, auto v) {
      const auto centred = kCentre ? hn::Sub(v, m) : v;
      return hn::MulAdd(centred, centred, sum);
    });
    rstd[row] = 1.0f / std::sqrt(squares * inverse_width + eps);
    const auto scale = hn::Set(Float(), rstd[row]);
    const auto value = [&](int64_t i, auto at) {
      const auto v = at.Load(from + i);
      return hn::Mul(hn::Mul(kCentre ? hn::Sub(v, m) : v, scale), at.Load(weight + i));
    };
    if (bias != nullptr) {
      ForEachVector(width, [&](int64_t i, auto at) { at.Store(hn::Add(value(i, at), at.Load(bias + i)), to + i); });
    } else {
      ForEachVector(width, [&](int64_t i, auto at) { at.Store(value(i, at), to + i); });
    }
  }
}

// Rows [begin, end). Adds the rows' dy * xhat to weight_sum [width] and, if kCentre, dy to bias_sum [width].
template <bool kCentre, bool kResidual, typename T>
void Backward(const T* dy, const T* x, const float* weight, const float* mean, const float* rstd, const T* residual,
              int64_t begin, int64_t end, int64_t width, T* dx, float* weight_sum, float* bias_sum) {
  const float inverse_width = 1.0f / static_cast<float>(width);
  const Float d;
  for (int64_t row = begin; row < end; ++row) {
    const T *dy_row = dy + row * width, *x_row = x + row * width;
    const auto scale = hn::Set(d, rstd[row]), m = hn::Set(d, kCentre ? mean[row] : 0.0f);
    // Sums of g and of g * xhat. Padding of dy is zero, and so is what it adds.
    auto g_sum = hn::Zero(d), gx_sum = hn::Zero(d);
    ForEachVector(width, [&](int64_t i, auto at) {
      const auto v = at.Load(x_row + i), dv = at.Load(dy_row + i);
      const auto xhat = hn::Mul(kCentre ? hn::Sub(v, m) : v, scale);
      const auto g = hn::Mul(dv, at.Load(weight + i));
      if (kCentre) {
        g_sum = hn::Add(g_sum, g);
        at.Store(hn::Add(at.Load(bias_sum + i), dv), bias_sum + i);
      }
      gx_sum = hn::MulAdd(g, xhat, gx_sum);
      at.Store(hn::MulAdd(dv, xhat, at.Load(weight_sum + i)), weight_sum + i);
    });
    const float g_mean = hn::GetLane(hn::SumOfLanes(d, g_sum)) * inverse_width;
    const float gx_mean = hn::GetLane(hn::SumOfLanes(d, gx_sum)) * inverse_width;
    // dx = rstd (g - g_mean) - (x - mean) rstd^2 gx_mean.
    const auto c = hn::Set(d, kCentre ? g_mean : 0.0f), slope = hn::Set(d, gx_mean * rstd[row] * rstd[row]);
    ForEachVector(width, [&](int64_t i, auto at) {
      const auto v = at.Load(x_row + i), g = hn::Mul(at.Load(dy_row + i), at.Load(weight + i));
      auto result = hn::Mul(kCentre ? hn::Sub(g, c) : g, scale);
      result = hn::NegMulAdd(kCentre ? hn::Sub(v, m) : v, slope, result);
      if (kResidual) result = hn::Add(result, at.Load(residual + row * width + i));
      at.Store(result, dx + row * width + i);
    });
  }
}

// to[j] (+)= the sum over `blocks` of sums[block * stride + j], for j in [begin, end), in the blocks' order.
HWY_INLINE void AddBlocks(const float* sums, int64_t blocks, int64_t stride, bool accumulate, int64_t begin,
                          int64_t end, float* to) {
  ForEachVector(end - begin, [&](int64_t i, auto at) {
    auto sum = hn::Zero(Float());
    for (int64_t block = 0; block < blocks; ++block) sum = hn::Add(sum, at.Load(sums + block * stride + begin + i));
    at.Store(accumulate ? hn::Add(at.Load(to + begin + i), sum) : sum, to + begin + i);
  });
}

}  // namespace norm_rows
}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
