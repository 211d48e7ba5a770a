#include "kernels/adamw.h"

#include <cmath>

#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"
//
#include "kernels/bf16-inl.h"

// What both updates need of their options, rounded to fp32 once, as ATen rounds the scalars of its operators.
// (Guarded: this file is included once per target.)
#ifndef STOWAGE_KERNELS_ADAMW_CC_SCALARS_
#define STOWAGE_KERNELS_ADAMW_CC_SCALARS_
namespace stowage::kernels {

struct AdamWScalars {
  float gradient_scale;
  float decay;  // 1 - lr * weight_decay
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float bias2_sqrt;  // sqrt(1 - beta2^step)
  float eps;
  float minus_step_size;  // -lr / (1 - beta1^step)
  // torch.lerp goes from the nearer end, which is exact at both: from the old moment if beta1 > 0.5.
  bool lerp_from_gradient;
};

struct SgdScalars {
  float gradient_scale;
  float weight_decay;
  float momentum;
  float minus_lr;
  bool first;  // the momentum buffer holds nothing yet, and is not read
};

}  // namespace stowage::kernels
#endif  // STOWAGE_KERNELS_ADAMW_CC_SCALARS_

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Products and sums are separate on purpose, here and in all kernels whose bits are promised: with fused ones a CPU
// without FMA would give other bits, and both updates wait for memory anyway.

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

struct AdamWVectors {
  explicit AdamWVectors(const AdamWScalars& s)
      : gradient_scale(hn::Set(Tag(), s.gradient_scale)),
        decay(hn::Set(Tag(), s.decay)),
        beta1(hn::Set(Tag(), s.beta1)),
        one_minus_beta1(hn::Set(Tag(), s.one_minus_beta1)),
        beta2(hn::Set(Tag(), s.beta2)),
        one_minus_beta2(hn::Set(Tag(), s.one_minus_beta2)),
        bias2_sqrt(hn::Set(Tag(), s.bias2_sqrt)),
        eps(hn::Set(Tag(), s.eps)),
        minus_step_size(hn::Set(Tag(), s.minus_step_size)) {}
  Vector gradient_scale, decay, beta1, one_minus_beta1, beta2, one_minus_beta2, bias2_sqrt, eps, minus_step_size;
};

// One vector of elements. kBf16: the new parameter goes to `copy` too, rounded.
template <bool kLerpFromGradient, bool kBf16>
HWY_INLINE void AdamWVector(const AdamWVectors& k, float* HWY_RESTRICT parameter, const float* HWY_RESTRICT gradient,
                            float* HWY_RESTRICT first_moment, float* HWY_RESTRICT second_moment,
                            uint16_t* HWY_RESTRICT copy) {
  const Tag d;
  const Vector g = hn::Mul(hn::LoadU(d, gradient), k.gradient_scale);
  const Vector old_m = hn::LoadU(d, first_moment);
  const Vector to_g = hn::Sub(g, old_m);
  const Vector m = kLerpFromGradient ? hn::Sub(g, hn::Mul(to_g, k.beta1))  //
                                     : hn::Add(old_m, hn::Mul(k.one_minus_beta1, to_g));
  const Vector v = hn::Add(hn::Mul(hn::LoadU(d, second_moment), k.beta2),  //
                           hn::Mul(hn::Mul(k.one_minus_beta2, g), g));
  const Vector denominator = hn::Add(hn::Div(hn::Sqrt(v), k.bias2_sqrt), k.eps);
  const Vector decayed = hn::Mul(hn::LoadU(d, parameter), k.decay);
  const Vector p = hn::Add(decayed, hn::Div(hn::Mul(k.minus_step_size, m), denominator));
  hn::StoreU(m, d, first_moment);
  hn::StoreU(v, d, second_moment);
  hn::StoreU(p, d, parameter);
  if (kBf16) StoreBf16(p, d, copy);
}

template <bool kLerpFromGradient, bool kBf16>
HWY_INLINE void AdamWLoop(float* parameter, const float* gradient, float* first_moment, float* second_moment,
                          uint16_t* copy, int64_t numel, const AdamWScalars& scalars) {
  constexpr int64_t kLanes = hn::MaxLanes(Tag());
  const AdamWVectors k(scalars);
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) {
    AdamWVector<kLerpFromGradient, kBf16>(k, parameter + i, gradient + i, first_moment + i, second_moment + i,
                                          kBf16 ? copy + i : nullptr);
  }
  if (i == numel) return;
  // The tail goes through the same code in a padded copy: that gives an element its bits wherever it lies.
  alignas(64) float tail[4][kLanes] = {};
  alignas(64) uint16_t copy_tail[kLanes];
  for (int64_t j = i; j < numel; ++j) {
    tail[0][j - i] = parameter[j];
    tail[1][j - i] = gradient[j];
    tail[2][j - i] = first_moment[j];
    tail[3][j - i] = second_moment[j];
  }
  AdamWVector<kLerpFromGradient, kBf16>(k, tail[0], tail[1], tail[2], tail[3], copy_tail);
  for (int64_t j = i; j < numel; ++j) {
    parameter[j] = tail[0][j - i];
    first_moment[j] = tail[2][j - i];
    second_moment[j] = tail[3][j - i];
    if (kBf16) copy[j] = copy_tail[j - i];
  }
}

void AdamWRange(float* parameter, const float* gradient, float* first_moment, float* second_moment, uint16_t* copy,
                int64_t numel, const AdamWScalars& scalars) {
  const auto loop = scalars.lerp_from_gradient ? (copy == nullptr ? &AdamWLoop<true, false> : &AdamWLoop<true, true>)
                                               : (copy == nullptr ? &AdamWLoop<false, false> : &AdamWLoop<false, true>);
  loop(parameter, gradient, first_moment, second_moment, copy, numel, scalars);
}

struct SgdVectors {
  explicit SgdVectors(const SgdScalars& s)
      : gradient_scale(hn::Set(Tag(), s.gradient_scale)),
        weight_decay(hn::Set(Tag(), s.weight_decay)),
        momentum(hn::Set(Tag(), s.momentum)),
        minus_lr(hn::Set(Tag(), s.minus_lr)) {}
  Vector gradient_scale, weight_decay, momentum, minus_lr;
};

// kBuffer: there is a momentum buffer. kFirst: it holds nothing yet.
template <bool kBuffer, bool kFirst>
HWY_INLINE void SgdVector(const SgdVectors& k, float* HWY_RESTRICT parameter, const float* HWY_RESTRICT gradient,
                          float* HWY_RESTRICT momentum) {
  const Tag d;
  const Vector p = hn::LoadU(d, parameter);
  Vector b = hn::Add(hn::Mul(hn::LoadU(d, gradient), k.gradient_scale), hn::Mul(k.weight_decay, p));
  if (kBuffer) {
    if (!kFirst) b = hn::Add(hn::Mul(hn::LoadU(d, momentum), k.momentum), b);
    hn::StoreU(b, d, momentum);
  }
  hn::StoreU(hn::Add(p, hn::Mul(k.minus_lr, b)), d, parameter);
}

template <bool kBuffer, bool kFirst>
HWY_INLINE void SgdLoop(float* parameter, const float* gradient, float* momentum, int64_t numel,
                        const SgdScalars& scalars) {
  constexpr int64_t kLanes = hn::MaxLanes(Tag());
  const SgdVectors k(scalars);
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) {
    SgdVector<kBuffer, kFirst>(k, parameter + i, gradient + i, kBuffer ? momentum + i : nullptr);
  }
  if (i == numel) return;
  alignas(64) float tail[3][kLanes] = {};
  for (int64_t j = i; j < numel; ++j) {
    tail[0][j - i] = parameter[j];
    tail[1][j - i] = gradient[j];
    if (kBuffer && !kFirst) tail[2][j - i] = momentum[j];
  }
  SgdVector<kBuffer, kFirst>(k, tail[0], tail[1], tail[2]);
  for (int64_t j = i; j < numel; ++j) {
    parameter[j] = tail[0][j - i];
    if (kBuffer) momentum[j] = tail[2][j - i];
  }
}

void SgdRange(float* parameter, const float* gradient, float* momentum, int64_t numel, const SgdScalars& scalars) {
  if (momentum == nullptr) {
    SgdLoop<false, true>(parameter, gradient, momentum, numel, scalars);
  } else if (scalars.first) {
    SgdLoop<true, true>(parameter, gradient, momentum, numel, scalars);
  } else {
    SgdLoop<true, false>(parameter, gradient, momentum, numel, scalars);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(AdamWRange);
HWY_EXPORT(SgdRange);

// 16,384 elements are 450 KB of traffic, some 20 us: below that, waking a thread costs more than it brings.
constexpr int64_t kGrainNumel = 16384;
// Threads meet at a cache line of an aligned buffer.
constexpr int64_t kCacheLineNumel = 16;

}  // namespace

void AdamW(float* parameter, const float* gradient, float* first_moment, float* second_moment, int64_t numel,
           const AdamWOptions& options, uint16_t* parameter_bf16) {
  STOWAGE_CHECK(options.step >= 1) << "step " << options.step;
  if (Dry()) return;
  const double bias1 = 1.0 - std::pow(options.beta1, static_cast<double>(options.step));
  const double bias2 = 1.0 - std::pow(options.beta2, static_cast<double>(options.step));
  AdamWScalars scalars;
  scalars.gradient_scale = static_cast<float>(options.gradient_scale);
  scalars.decay = static_cast<float>(1.0 - options.lr * options.weight_decay);
  scalars.beta1 = static_cast<float>(options.beta1);
  scalars.one_minus_beta1 = static_cast<float>(1.0 - options.beta1);
  scalars.beta2 = static_cast<float>(options.beta2);
  scalars.one_minus_beta2 = static_cast<float>(1.0 - options.beta2);
  scalars.bias2_sqrt = static_cast<float>(std::sqrt(bias2));
  scalars.eps = static_cast<float>(options.eps);
  scalars.minus_step_size = static_cast<float>(-options.lr / bias1);
  scalars.lerp_from_gradient = 1.0 - options.beta1 >= 0.5;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AdamWRange)
    (parameter + begin, gradient + begin, first_moment + begin, second_moment + begin,
     parameter_bf16 == nullptr ? nullptr : parameter_bf16 + begin, end - begin, scalars);
  });
}

void Sgd(float* parameter, const float* gradient, float* momentum, int64_t numel, const SgdOptions& options) {
  STOWAGE_CHECK(options.step >= 1) << "step " << options.step;
  STOWAGE_CHECK(numel == 0 || momentum != nullptr || options.momentum == 0.0)
      << "momentum " << options.momentum << ", no buffer";
  if (Dry()) return;
  SgdScalars scalars;
  scalars.gradient_scale = static_cast<float>(options.gradient_scale);
  scalars.weight_decay = static_cast<float>(options.weight_decay);
  scalars.momentum = static_cast<float>(options.momentum);
  scalars.minus_lr = static_cast<float>(-options.lr);
  scalars.first = options.step == 1;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SgdRange)
    (parameter + begin, gradient + begin, momentum == nullptr ? nullptr : momentum + begin, end - begin, scalars);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
