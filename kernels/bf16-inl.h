// bf16 in vectors: for kernels that read or write it beside fp32 arithmetic. Included once per target (Highway's way),
// so after HWY_TARGET_INCLUDE and highway.h.
#if defined(STOWAGE_KERNELS_BF16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_BF16_INL_H_
#undef STOWAGE_KERNELS_BF16_INL_H_
#else
#define STOWAGE_KERNELS_BF16_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {

// As many elements as D, a tag of fp32, has lanes. `from`: any alignment.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadBf16(D d, const uint16_t* from) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<uint16_t, D> half;
  const hn::Rebind<uint32_t, D> word;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(word, hn::LoadU(half, from))));
}

// Rounded to nearest, ties to even; every NaN becomes 0x7fc0, as ATen's conversion has it. Not by the CPU's own
// instruction: that one takes subnormals for zero.
template <class D>
HWY_INLINE void StoreBf16(hwy::HWY_NAMESPACE::Vec<D> value, D d, uint16_t* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<uint16_t, D> half;
  const hn::Rebind<int32_t, D> word;
  const hn::Rebind<uint32_t, D> unsigned_word;
  const auto bits = hn::BitCast(unsigned_word, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(unsigned_word, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(unsigned_word, 0x7fff)), odd));
  const auto result =
      hn::IfThenElse(hn::RebindMask(word, hn::IsNaN(value)), hn::Set(word, 0x7fc0), hn::BitCast(word, rounded));
  hn::StoreU(hn::DemoteTo(half, result), half, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
