#include "kernels/rotary.h"

#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rotary.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

template <bool kInverse, typename T>
void RotateRow(const RotaryShape& shape, const float* cos, const float* sin, const T* from, T* to) {
  const int64_t half = shape.head_dim / 2;
  for (int64_t head = 0; head < shape.heads; ++head, from += shape.head_dim, to += shape.head_dim) {
    ForEachVector(half, [&](int64_t i, auto at) {
      const auto x1 = at.Load(from + i), x2 = at.Load(from + half + i);
      const auto c = at.Load(cos + i), s = at.Load(sin + i);
      const auto c1 = hn::Mul(x1, c), c2 = hn::Mul(x2, c);
      at.Store(kInverse ? hn::MulAdd(x2, s, c1) : hn::NegMulAdd(x2, s, c1), to + i);
      at.Store(kInverse ? hn::NegMulAdd(x1, s, c2) : hn::MulAdd(x1, s, c2), to + half + i);
    });
  }
  const int64_t rest = shape.row_numel - shape.heads * shape.head_dim;
  if (from != to) std::memcpy(to, from, rest * sizeof(T));
}

template <typename T>
void RotateRows(const RotaryShape& shape, const float* cos, const float* sin, bool inverse, const T* from, T* to,
                int64_t begin, int64_t end) {
  const int64_t half = shape.head_dim / 2;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t offset = row % shape.positions * half, at = row * shape.row_numel;
    auto* rotate = inverse ? &RotateRow<true, T> : &RotateRow<false, T>;
    rotate(shape, cos + offset, sin + offset, from + at, to + at);
  }
}

}  // namespace

void RotaryRows(DType dtype, const RotaryShape& shape, const float* cos, const float* sin, bool inverse,
                const void* from, void* to, int64_t begin, int64_t end) {
  if (dtype == DType::kBFloat16) {
    RotateRows(shape, cos, sin, inverse, static_cast<const uint16_t*>(from), static_cast<uint16_t*>(to), begin, end);
  } else {
    RotateRows(shape, cos, sin, inverse, static_cast<const float*>(from), static_cast<float*>(to), begin, end);
  }
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>

#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(RotaryRows);

}  // namespace

void Rotary(DType dtype, const RotaryShape& shape, const float* cos, const float* sin, bool inverse, const void* from,
            void* to) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "rotary embedding of " << DTypeName(dtype);
  STOWAGE_CHECK(shape.head_dim % 2 == 0 && shape.heads * shape.head_dim <= shape.row_numel)
      << shape.heads << " heads of " << shape.head_dim << " in rows of " << shape.row_numel;
  if (Dry()) return;
  // Rows of some 16k elements a piece: below that, waking a thread costs more than it brings.
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, shape.row_numel));
  ParallelFor(shape.samples * shape.positions, grain, 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(RotaryRows)(dtype, shape, cos, sin, inverse, from, to, begin, end);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
