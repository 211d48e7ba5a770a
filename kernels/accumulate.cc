#include "kernels/accumulate.h"

#include <cmath>

#include "base/check.h"
#include "kernels/dry.h"

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

// Of two vectors. Comparisons and not Min and Max, whose answer for NaN depends on the CPU: a NaN stays.
struct Sum {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Take(D, V sum, V next) {
    return hn::Add(sum, next);
  }
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE V KeepWhere(D d, V kept, hn::Mask<D> where, V next) {
  if constexpr (hwy::IsFloat<hn::TFromD<D>>()) where = hn::Or(where, hn::IsNaN(kept));
  return hn::IfThenElse(where, kept, next);
}
struct Min {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Take(D d, V least, V next) {
    return KeepWhere(d, least, hn::Lt(least, next), next);
  }
};
struct Max {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Take(D d, V most, V next) {
    return KeepWhere(d, most, hn::Lt(next, most), next);
  }
};

// `count` 1: nothing to divide by.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Divide(D d, V sum, int64_t count) {
  using T = hn::TFromD<D>;
  if constexpr (hwy::IsFloat<T>()) {
    if (count > 1) return hn::Div(sum, hn::Set(d, static_cast<T>(count)));
  }
  return sum;
}

// Parts whose element is also what is computed with: fp32, fp64, int32 and int64 (which wrap).
template <class Op, typename T>
void ReduceSame(Parts parts, void* out, int64_t numel, int64_t divisor) {
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
      sum0 = Op::Take(d, sum0, hn::LoadU(d, from));
      sum1 = Op::Take(d, sum1, hn::LoadU(d, from + lanes));
    }
    hn::StoreU(Divide(d, sum0, divisor), d, to + i);
    hn::StoreU(Divide(d, sum1, divisor), d, to + i + lanes);
  }
  const hn::CappedTag<T, 1> one;
  for (; i < numel; ++i) {
    auto sum = hn::LoadU(one, static_cast<const T*>(parts[0]) + i);
    for (int64_t k = 1; k < count; ++k) {
      sum = Op::Take(one, sum, hn::LoadU(one, static_cast<const T*>(parts[k]) + i));
    }
    hn::StoreU(Divide(one, sum, divisor), one, to + i);
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

template <class Op, class D>
HWY_INLINE void ReduceBFloat16At(D d, Parts parts, void* out, int64_t i, int64_t divisor) {
  auto sum = LoadBFloat16(d, parts[0], i);
  for (int64_t k = 1; k < static_cast<int64_t>(parts.size()); ++k) sum = Op::Take(d, sum, LoadBFloat16(d, parts[k], i));
  StoreBFloat16(d, Divide(d, sum, divisor), out, i);
}

template <class Op>
void ReduceBFloat16With(Parts parts, void* out, int64_t numel, int64_t divisor) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) ReduceBFloat16At<Op>(d, parts, out, i, divisor);
  for (; i < numel; ++i) ReduceBFloat16At<Op>(hn::CappedTag<float, 1>(), parts, out, i, divisor);
}

int64_t DivisorOf(Reduction reduction, Parts parts) {
  return reduction == Reduction::kMean ? static_cast<int64_t>(parts.size()) : 1;
}

template <typename T>
void Reduce(Reduction reduction, Parts parts, void* out, int64_t numel) {
  if (reduction == Reduction::kMin) return ReduceSame<Min, T>(parts, out, numel, 1);
  if (reduction == Reduction::kMax) return ReduceSame<Max, T>(parts, out, numel, 1);
  ReduceSame<Sum, T>(parts, out, numel, DivisorOf(reduction, parts));
}

void ReduceFloat32(Reduction op, Parts parts, void* out, int64_t numel) { Reduce<float>(op, parts, out, numel); }
void ReduceFloat64(Reduction op, Parts parts, void* out, int64_t numel) { Reduce<double>(op, parts, out, numel); }
void ReduceInt32(Reduction op, Parts parts, void* out, int64_t numel) { Reduce<int32_t>(op, parts, out, numel); }
void ReduceInt64(Reduction op, Parts parts, void* out, int64_t numel) { Reduce<int64_t>(op, parts, out, numel); }
void ReduceBFloat16(Reduction op, Parts parts, void* out, int64_t numel) {
  if (op == Reduction::kMin) return ReduceBFloat16With<Min>(parts, out, numel, 1);
  if (op == Reduction::kMax) return ReduceBFloat16With<Max>(parts, out, numel, 1);
  ReduceBFloat16With<Sum>(parts, out, numel, DivisorOf(op, parts));
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(ReduceFloat32);
HWY_EXPORT(ReduceFloat64);
HWY_EXPORT(ReduceInt32);
HWY_EXPORT(ReduceInt64);
HWY_EXPORT(ReduceBFloat16);

// By the compiler's conversions, which are exact and round to nearest even on every CPU; vector instructions for fp16
// are not on every one, and what stands in for them rounds otherwise.
void ReduceFloat16(Reduction reduction, absl::Span<const void* const> parts, void* out, int64_t numel) {
  const auto at = [&](size_t k, int64_t i) { return static_cast<float>(static_cast<const _Float16*>(parts[k])[i]); };
  for (int64_t i = 0; i < numel; ++i) {
    float value = at(0, i);
    for (size_t k = 1; k < parts.size(); ++k) {
      const float next = at(k, i);
      if (reduction == Reduction::kMin) {
        value = std::isnan(value) || value < next ? value : next;
      } else if (reduction == Reduction::kMax) {
        value = std::isnan(value) || value > next ? value : next;
      } else {
        value += next;
      }
    }
    if (reduction == Reduction::kMean) value /= static_cast<float>(parts.size());
    static_cast<_Float16*>(out)[i] = static_cast<_Float16>(value);
  }
}

}  // namespace

void ReduceInOrder(Reduction reduction, absl::Span<const void* const> parts, void* out, int64_t numel, DType dtype) {
  STOWAGE_CHECK(!parts.empty());
  STOWAGE_CHECK(reduction != Reduction::kMean || (dtype != DType::kInt32 && dtype != DType::kInt64))
      << "mean of integers";
  if (Dry()) return;
  switch (dtype) {
    case DType::kFloat32:
      return HWY_DYNAMIC_DISPATCH(ReduceFloat32)(reduction, parts, out, numel);
    case DType::kFloat64:
      return HWY_DYNAMIC_DISPATCH(ReduceFloat64)(reduction, parts, out, numel);
    case DType::kBFloat16:
      return HWY_DYNAMIC_DISPATCH(ReduceBFloat16)(reduction, parts, out, numel);
    case DType::kFloat16:
      return ReduceFloat16(reduction, parts, out, numel);
    case DType::kInt32:
      return HWY_DYNAMIC_DISPATCH(ReduceInt32)(reduction, parts, out, numel);
    case DType::kInt64:
      return HWY_DYNAMIC_DISPATCH(ReduceInt64)(reduction, parts, out, numel);
    default:
      STOWAGE_CHECK(false) << "ReduceInOrder of " << DTypeName(dtype);
  }
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
