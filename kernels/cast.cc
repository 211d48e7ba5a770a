#include "kernels/cast.h"

#include <cstring>

#include "kernels/dry.h"
#include "kernels/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cast.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"
//
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Word = hn::RebindToUnsigned<Tag>;
using SignedWord = hn::RebindToSigned<Tag>;
using Half = hn::Rebind<uint16_t, Tag>;
constexpr int64_t kLanes = hn::MaxLanes(Tag());

struct ToBf16 {
  using From = float;
  using To = uint16_t;
  static HWY_INLINE void Vector(const From* from, To* to) { StoreBf16(hn::LoadU(Tag(), from), Tag(), to); }
};

struct FromBf16 {
  using From = uint16_t;
  using To = float;
  static HWY_INLINE void Vector(const From* from, To* to) { hn::StoreU(LoadBf16(Tag(), from), Tag(), to); }
};

// Where the CPU has the instruction it rounds to nearest; NaN keeps its sign and becomes 0x7e00 first. Elsewhere Giesen's
// forms (gist.github.com/rygorous/2156668), in integers and one fp32 sum: Highway's own truncates there.
struct ToFp16 {
  using From = float;
  using To = uint16_t;
  static HWY_INLINE void Vector(const From* from, To* to) {
    const Word w;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    const hn::Rebind<hwy::float16_t, Tag> half_tag;
    const auto value = hn::LoadU(Tag(), from);
    const auto quiet = hn::CopySign(hn::BitCast(Tag(), hn::Set(w, 0x7fc00000u)), value);
    const auto half_value = hn::DemoteTo(half_tag, hn::IfThenElse(hn::IsNaN(value), quiet, value));
    hn::StoreU(hn::BitCast(Half(), half_value), Half(), to);
#else
    const auto bits = hn::BitCast(w, hn::LoadU(Tag(), from));
    const auto sign = hn::And(bits, hn::Set(w, 0x80000000u));
    const auto magnitude = hn::Xor(bits, sign);
    const auto compared = hn::BitCast(SignedWord(), magnitude);  // no sign: signed comparison serves
    // Normal: the exponent is moved, and 13 bits rounded off; a carry makes the next exponent, or infinity.
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(w, 1));
    const auto moved = hn::Add(hn::Add(magnitude, hn::Set(w, 0xfffu - (112u << 23))), odd);
    auto half = hn::ShiftRight<13>(moved);
    // Subnormal: adding 0.5 brings the last bit of an fp16 subnormal to the last of fp32, so that the sum rounds it.
    const auto half_bits = hn::Set(w, 126u << 23);
    const auto sum = hn::Add(hn::BitCast(Tag(), magnitude), hn::BitCast(Tag(), half_bits));
    const auto tiny = hn::RebindMask(w, hn::Lt(compared, hn::Set(SignedWord(), 113 << 23)));
    half = hn::IfThenElse(tiny, hn::Sub(hn::BitCast(w, sum), half_bits), half);
    const auto too_large = hn::RebindMask(w, hn::Gt(compared, hn::Set(SignedWord(), (143 << 23) - 1)));
    half = hn::IfThenElse(too_large, hn::Set(w, 0x7c00u), half);
    const auto is_nan = hn::RebindMask(w, hn::Gt(compared, hn::Set(SignedWord(), 0x7f800000)));
    half = hn::IfThenElse(is_nan, hn::Set(w, 0x7e00u), half);
    const auto result = hn::BitCast(SignedWord(), hn::Or(half, hn::ShiftRight<16>(sign)));
    hn::StoreU(hn::DemoteTo(Half(), result), Half(), to);
#endif
  }
};

struct FromFp16 {
  using From = uint16_t;
  using To = float;
  static HWY_INLINE void Vector(const From* from, To* to) {
    const Word w;
    const auto half = hn::PromoteTo(w, hn::LoadU(Half(), from));
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(w, 0x8000u)));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(half, hn::Set(w, 0x7fffu)));
    const auto exponent = hn::And(magnitude, hn::Set(w, 0x7c00u << 13));
    auto bits = hn::Add(magnitude, hn::Set(w, 112u << 23));
    bits = hn::Add(bits, hn::IfThenElseZero(hn::Eq(exponent, hn::Set(w, 0x7c00u << 13)), hn::Set(w, 112u << 23)));
    // Subnormal: read with the exponent of 2^-14, which is taken off again, exactly.
    const auto smallest_bits = hn::Set(w, 113u << 23);
    const auto with_one = hn::BitCast(Tag(), hn::Add(bits, hn::Set(w, 1u << 23)));
    const auto subnormal = hn::BitCast(w, hn::Sub(with_one, hn::BitCast(Tag(), smallest_bits)));
    bits = hn::IfThenElse(hn::Eq(exponent, hn::Zero(w)), subnormal, bits);
    hn::StoreU(hn::BitCast(Tag(), hn::Or(bits, sign)), Tag(), to);
  }
};

template <class Cast>
HWY_INLINE void Range(const typename Cast::From* from, typename Cast::To* to, int64_t numel) {
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) Cast::Vector(from + i, to + i);
  if (i == numel) return;
  alignas(64) typename Cast::From in[kLanes] = {};
  alignas(64) typename Cast::To out[kLanes];
  std::memcpy(in, from + i, (numel - i) * sizeof(in[0]));
  Cast::Vector(in, out);
  std::memcpy(to + i, out, (numel - i) * sizeof(out[0]));
}

void ToBf16Range(const float* from, uint16_t* to, int64_t numel) { Range<ToBf16>(from, to, numel); }
void FromBf16Range(const uint16_t* from, float* to, int64_t numel) { Range<FromBf16>(from, to, numel); }
void ToFp16Range(const float* from, uint16_t* to, int64_t numel) { Range<ToFp16>(from, to, numel); }
void FromFp16Range(const uint16_t* from, float* to, int64_t numel) { Range<FromFp16>(from, to, numel); }

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(ToBf16Range);
HWY_EXPORT(FromBf16Range);
HWY_EXPORT(ToFp16Range);
HWY_EXPORT(FromFp16Range);

// 65,536 elements are 400 KB of traffic, some 20 us: below that, waking a thread costs more than it brings.
constexpr int64_t kGrainNumel = 65536;
// Threads meet at a cache line of either buffer, if these are aligned.
constexpr int64_t kMultiple = 32;

template <typename From, typename To, typename RangeFunction>
void Split(const From* from, To* to, int64_t numel, RangeFunction range) {
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kMultiple,
              [&](int64_t begin, int64_t end) { range(from + begin, to + begin, end - begin); });
}

}  // namespace

void CastFp32ToBf16(const float* from, uint16_t* to, int64_t numel) {
  Split(from, to, numel, HWY_DYNAMIC_DISPATCH(ToBf16Range));
}
void CastBf16ToFp32(const uint16_t* from, float* to, int64_t numel) {
  Split(from, to, numel, HWY_DYNAMIC_DISPATCH(FromBf16Range));
}
void CastFp32ToFp16(const float* from, uint16_t* to, int64_t numel) {
  Split(from, to, numel, HWY_DYNAMIC_DISPATCH(ToFp16Range));
}
void CastFp16ToFp32(const uint16_t* from, float* to, int64_t numel) {
  Split(from, to, numel, HWY_DYNAMIC_DISPATCH(FromFp16Range));
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
