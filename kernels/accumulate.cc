#include "kernels/accumulate.h"

#include "base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/accumulate.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Parts = absl::Span<const void* const>;

// Parts whose element is also what is added: fp32, fp64, int64 (which wraps).
template <typename T>
void SumSame(Parts parts, void* out, int64_t numel) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = hn::Lanes(d);
  const int64_t count = parts.size();
  T* to = static_cast<T*>(out);
  int64_t i = 0;
  // Two vectors at a time: with one, the loop over parts costs as much as the sums.
  for (; i + 2 * lanes <= numel; i += 2 * lanes) {
    auto sum0 = hn::LoadU(d, static_cast<const T*>(parts[0]) + i);
    auto sum1 = hn::LoadU(d, static_cast<const T*>(parts[0]) + i + lanes);
    for (int64_t k = 1; k < count; ++k) {
      const T* from = static_cast<const T*>(parts[k]) + i;
      sum0 = hn::Add(sum0, hn::LoadU(d, from));
      sum1 = hn::Add(sum1, hn::LoadU(d, from + lanes));
    }
    hn::StoreU(sum0, d, to + i);
    hn::StoreU(sum1, d, to + i + lanes);
  }
  const hn::CappedTag<T, 1> one;
  for (; i < numel; ++i) {
    auto sum = hn::LoadU(one, static_cast<const T*>(parts[0]) + i);
    for (int64_t k = 1; k < count; ++k) sum = hn::Add(sum, hn::LoadU(one, static_cast<const T*>(parts[k]) + i));
    hn::StoreU(sum, one, to + i);
  }
}

// bf16 in memory as uint16; D is a tag of fp32.
template <class D>
HWY_INLINE hn::Vec<D> LoadBFloat16(D d, const void* part, int64_t i) {
  const hn::Rebind<uint16_t, D> half;
  const hn::Rebind<uint32_t, D> word;
  const auto bits = hn::PromoteTo(word, hn::LoadU(half, static_cast<const uint16_t*>(part) + i));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

// Rounds to nearest, ties to even; every NaN becomes 0x7fc0, as ATen's conversion does.
template <class D>
HWY_INLINE void StoreBFloat16(D d, hn::Vec<D> sum, void* out, int64_t i) {
  const hn::Rebind<uint16_t, D> half;
  const hn::Rebind<int32_t, D> word;
  const hn::Rebind<uint32_t, D> unsigned_word;
  const auto bits = hn::BitCast(unsigned_word, sum);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(unsigned_word, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(unsigned_word, 0x7fff)), odd));
  const auto is_nan = hn::VecFromMask(d, hn::IsNaN(sum));
  const auto nan_mask = hn::BitCast(word, is_nan);
  const auto result =
      hn::Or(hn::AndNot(nan_mask, hn::BitCast(word, rounded)), hn::And(nan_mask, hn::Set(word, 0x7fc0)));
  hn::StoreU(hn::DemoteTo(half, result), half, static_cast<uint16_t*>(out) + i);
}

template <class D>
HWY_INLINE void SumBFloat16At(D d, Parts parts, void* out, int64_t i) {
  auto sum = LoadBFloat16(d, parts[0], i);
  for (int64_t k = 1; k < static_cast<int64_t>(parts.size()); ++k) sum = hn::Add(sum, LoadBFloat16(d, parts[k], i));
  StoreBFloat16(d, sum, out, i);
}

void SumBFloat16(Parts parts, void* out, int64_t numel) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) SumBFloat16At(d, parts, out, i);
  for (; i < numel; ++i) SumBFloat16At(hn::CappedTag<float, 1>(), parts, out, i);
}

void SumFloat32(Parts parts, void* out, int64_t numel) { SumSame<float>(parts, out, numel); }
void SumFloat64(Parts parts, void* out, int64_t numel) { SumSame<double>(parts, out, numel); }
void SumInt64(Parts parts, void* out, int64_t numel) { SumSame<int64_t>(parts, out, numel); }

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(SumFloat32);
HWY_EXPORT(SumFloat64);
HWY_EXPORT(SumInt64);
HWY_EXPORT(SumBFloat16);

}  // namespace

void SumInOrder(absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype) {
  STOWAGE_CHECK(!parts.empty());
  switch (dtype) {
    case DType::kFloat32:
      return HWY_DYNAMIC_DISPATCH(SumFloat32)(parts, out, numel);
    case DType::kFloat64:
      return HWY_DYNAMIC_DISPATCH(SumFloat64)(parts, out, numel);
    case DType::kInt64:
      return HWY_DYNAMIC_DISPATCH(SumInt64)(parts, out, numel);
    case DType::kBFloat16:
      return HWY_DYNAMIC_DISPATCH(SumBFloat16)(parts, out, numel);
    default:
      STOWAGE_CHECK(false) << "SumInOrder of " << DTypeName(dtype);
  }
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
