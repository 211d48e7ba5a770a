#include "kernels/gelu.h"

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gelu.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/element-inl.h"
#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

HWY_INLINE FloatVector Constant(float value) { return hn::Set(Float(), value); }

// For slopes, which no longer change so far out: keeps infinity from meeting a factor 0. NaN stays (x86's minimum and
// maximum of a number and NaN are their second operand).
HWY_INLINE FloatVector Bounded(FloatVector x) { return hn::Max(Constant(-1e9f), hn::Min(Constant(1e9f), x)); }

// Value: x -> y. Slope: x -> dy/dx.
struct TanhGelu {
  static constexpr float kRoot = 0.797884561f;  // sqrt(2 / pi)
  static constexpr float kCube = 0.044715f;

  // 2 u log2(e), given x^2.
  static HWY_INLINE FloatVector Exponent(FloatVector x, FloatVector square) {
    return hn::Mul(x, hn::MulAdd(square, Constant(2 * kRoot * kCube * kLog2E), Constant(2 * kRoot * kLog2E)));
  }
  static HWY_INLINE FloatVector Value(FloatVector x) {
    return hn::Mul(x, Sigmoid2(Float(), Exponent(x, hn::Mul(x, x))));
  }
  // With s = sigmoid(2 u): s + x s (1 - s) 2 u'.
  static HWY_INLINE FloatVector Slope(FloatVector x) {
    x = Bounded(x);
    const auto square = hn::Mul(x, x);
    const auto growth = hn::MulAdd(square, Constant(6 * kRoot * kCube), Constant(2 * kRoot));
    const auto s = Sigmoid2(Float(), Exponent(x, square));
    const auto bell = hn::NegMulAdd(s, s, s);
    return hn::MulAdd(hn::Mul(x, bell), growth, s);
  }
};

struct ExactGelu {
  // Phi(x): the tail Phi(-|x|), or one less it. The polynomial is log2(Phi(-a)) for a in [0, 14], fitted by least
  // squares reweighted towards the smallest largest error of (1 + a) Phi(-a): 1.7e-7 (where Phi(-a) > 1e-7 it is right
  // to 0.3 %, and to 13 % of what is left at 2^-126). One polynomial for all of the axis costs half of erf's usual two.
  static HWY_INLINE FloatVector Distribution(FloatVector x) {
    const Float d;
    const auto a = hn::Min(Constant(14.0f), hn::Abs(x));
    // By pairs of terms, as in Exp2().
    const auto a2 = hn::Mul(a, a), a4 = hn::Mul(a2, a2);
    const auto r01 = hn::MulAdd(a, Constant(-1.151114821434021f), Constant(-1.0f));
    const auto r23 = hn::MulAdd(a, Constant(-0.05279466137290001f), Constant(-0.4591146409511566f));
    const auto r45 = hn::MulAdd(a, Constant(-0.00046580767957493663f), Constant(0.007500025909394026f));
    const auto r67 = hn::MulAdd(a, Constant(1.4045021998754237e-05f), Constant(-5.579230492003262e-05f));
    const auto r89 = hn::MulAdd(a, Constant(2.843742841207586e-08f), Constant(-1.06926506759919e-06f));
    const auto r4567 = hn::MulAdd(a2, r67, r45), r0123 = hn::MulAdd(a2, r23, r01);
    const auto r = hn::MulAdd(a4, hn::MulAdd(a4, r89, r4567), r0123);
    const auto tail = Exp2(d, r);
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(Constant(1.0f), tail));
  }

  static HWY_INLINE FloatVector Value(FloatVector x) { return hn::Mul(x, Distribution(x)); }
  // Phi(x) + x phi(x).
  static HWY_INLINE FloatVector Slope(FloatVector x) {
    const auto exponent = hn::Mul(hn::Mul(x, x), Constant(-0.5f * kLog2E));
    const auto density = hn::Mul(Constant(0.398942280f), Exp2(Float(), exponent));
    return hn::MulAdd(Bounded(x), density, Distribution(x));
  }
};

// As ExactGelu for a result that is rounded to bf16: Phi to 2^-11 of itself, or to 2e-7 of 1 + |x|, where half a place of
// bf16 is 2^-9 to 2^-8. Fitted the same way, with two thirds of the terms.
struct ExactGeluForBf16 {
  static HWY_INLINE FloatVector Distribution(FloatVector x) {
    const Float d;
    const hn::RebindToUnsigned<Float> word;
    const auto a = hn::Min(Constant(14.0f), hn::Abs(x));
    const auto a2 = hn::Mul(a, a);
    const auto r01 = hn::MulAdd(a, Constant(-1.1470138765281781f), Constant(-1.0f));
    const auto r23 = hn::MulAdd(a, Constant(-0.04305223036171352f), Constant(-0.4704313797225534f));
    const auto r45 = hn::MulAdd(a, Constant(-0.00015288456599116262f), Constant(0.004211824155090221f));
    const auto r = hn::MulAdd(a2, hn::MulAdd(a2, r45, r23), r01);
    // 2^r as Exp2() has it, by three terms; r is below 0, so there is no upper end to keep. NaN stays: see there.
    const auto bounded = hn::Max(Constant(-127.0f), r);
    const auto round = Constant(12582912.0f + 127.0f);
    const auto shifted = hn::Add(bounded, round);
    const auto power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(word, shifted)));
    const auto f = hn::Sub(bounded, hn::Sub(shifted, round));
    const auto p01 = hn::MulAdd(f, Constant(0.69311252f), Constant(1.0f));
    const auto p23 = hn::MulAdd(f, Constant(0.0559771f), Constant(0.24222386f));
    const auto tail = hn::Mul(hn::MulAdd(hn::Mul(f, f), p23, p01), power);
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(Constant(1.0f), tail));
  }
  static HWY_INLINE FloatVector Value(FloatVector x) { return hn::Mul(x, Distribution(x)); }
};

template <class Kind, typename T>
void Forward(const T* x, int64_t numel, T* y) {
  ForEachVector(numel, [&](int64_t i, auto at) { at.Store(Kind::Value(at.Load(x + i)), y + i); });
}

template <class Kind, typename T>
void Backward(const T* x, const T* dy, int64_t numel, T* dx) {
  ForEachVector(numel,
                [&](int64_t i, auto at) { at.Store(hn::Mul(at.Load(dy + i), Kind::Slope(at.Load(x + i))), dx + i); });
}

}  // namespace

// [begin, end) of each buffer.
void GeluRange(GeluKind kind, DType dtype, const void* x, void* y, int64_t begin, int64_t end) {
  const bool tanh = kind == GeluKind::kTanh;
  if (dtype == DType::kBFloat16) {
    auto* forward = tanh ? &Forward<TanhGelu, uint16_t> : &Forward<ExactGeluForBf16, uint16_t>;
    forward(static_cast<const uint16_t*>(x) + begin, end - begin, static_cast<uint16_t*>(y) + begin);
  } else {
    auto* forward = tanh ? &Forward<TanhGelu, float> : &Forward<ExactGelu, float>;
    forward(static_cast<const float*>(x) + begin, end - begin, static_cast<float*>(y) + begin);
  }
}

void GeluBackwardRange(GeluKind kind, DType dtype, const void* x, const void* dy, void* dx, int64_t begin,
                       int64_t end) {
  const bool tanh = kind == GeluKind::kTanh;
  if (dtype == DType::kBFloat16) {
    auto* backward = tanh ? &Backward<TanhGelu, uint16_t> : &Backward<ExactGelu, uint16_t>;
    backward(static_cast<const uint16_t*>(x) + begin, static_cast<const uint16_t*>(dy) + begin, end - begin,
             static_cast<uint16_t*>(dx) + begin);
  } else {
    auto* backward = tanh ? &Backward<TanhGelu, float> : &Backward<ExactGelu, float>;
    backward(static_cast<const float*>(x) + begin, static_cast<const float*>(dy) + begin, end - begin,
             static_cast<float*>(dx) + begin);
  }
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(GeluRange);
HWY_EXPORT(GeluBackwardRange);

// Some 10 us of work: below that, waking a thread costs more than it brings.
constexpr int64_t kGrainNumel = 16384;
// Threads meet at a cache line of an aligned buffer of bf16.
constexpr int64_t kCacheLineNumel = 32;

void CheckDType(DType dtype) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "GELU of " << DTypeName(dtype);
}

}  // namespace

void Gelu(GeluKind kind, DType dtype, const void* x, int64_t numel, void* y) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GeluRange)(kind, dtype, x, y, begin, end);
  });
}

void GeluBackward(GeluKind kind, DType dtype, const void* x, const void* dy, int64_t numel, void* dx) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GeluBackwardRange)(kind, dtype, x, dy, dx, begin, end);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
