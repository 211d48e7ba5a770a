// Powers of two and what is made of them, of fp32 vectors. Highway's own Exp turns NaN into a number; these keep it.
// Included once per target (Highway's way), so after HWY_TARGET_INCLUDE and highway.h.
#if defined(STOWAGE_KERNELS_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_EXP_INL_H_
#undef STOWAGE_KERNELS_EXP_INL_H_
#else
#define STOWAGE_KERNELS_EXP_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {

// 2^x with a relative error below 2e-7; 0 below -126.5, where fp32 has subnormals; infinity from 127.5 on, half before
// fp32 overflows; NaN of NaN. The polynomial is Cephes' exp2f.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Exp2(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> word;
  // In this order: of a number and NaN, x86's minimum and maximum are their second operand.
  x = hn::Min(hn::Set(d, 128.0f), hn::Max(hn::Set(d, -127.0f), x));
  // Near 1.5 * 2^23 floats are whole numbers: the sum is rounded to one, n + 127 in its last bits, where the shift
  // finds the exponent of 2^n: 0 of n = -127, infinity of n = 128.
  const V round = hn::Set(d, 12582912.0f + 127.0f);
  const V shifted = hn::Add(x, round);
  const V power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(word, shifted)));
  const V f = hn::Sub(x, hn::Sub(shifted, round));
  // By pairs of terms (Estrin): a chain of six sums one after another would be most of the time.
  const V f2 = hn::Mul(f, f);
  const V p01 = hn::MulAdd(f, hn::Set(d, 6.931472028550421e-1f), hn::Set(d, 1.0f));
  const V p23 = hn::MulAdd(f, hn::Set(d, 5.550332471162809e-2f), hn::Set(d, 2.402264791363012e-1f));
  const V p45 = hn::MulAdd(f, hn::Set(d, 1.339887440266574e-3f), hn::Set(d, 9.618437357674640e-3f));
  const V p456 = hn::MulAdd(f2, hn::Set(d, 1.535336188319500e-4f), p45);
  const V p = hn::MulAdd(hn::Mul(f2, f2), p456, hn::MulAdd(f2, p23, p01));
  return hn::Mul(p, power);
}

inline constexpr float kLog2E = 1.44269504f;

// 1 / (1 + 2^(-x)): the logistic function of x / log2(e), for callers that have that factor among their constants.
// The error is below 2e-7.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Sigmoid2(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp2(d, hn::Neg(x))));
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
