#include "kernels/swiglu.h"

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/swiglu.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/element-inl.h"
#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

template <typename T>
void Forward(const T* x, int64_t width, int64_t begin, int64_t end, T* y) {
  for (int64_t row = begin; row < end; ++row) {
    const T *gate = x + row * 2 * width, *up = gate + width;
    T* to = y + row * width;
    ForEachVector(width, [&](int64_t i, auto at) {
      const auto g = at.Load(gate + i);
      at.Store(hn::Mul(hn::Mul(g, Sigmoid2(Float(), hn::Mul(g, hn::Set(Float(), kLog2E)))), at.Load(up + i)), to + i);
    });
  }
}

// With s = sigmoid(g): d up = dy g s, d gate = dy up s (1 + g (1 - s)).
template <typename T>
void Backward(const T* x, const T* dy, int64_t width, int64_t begin, int64_t end, T* dx) {
  const auto one = hn::Set(Float(), 1.0f);
  for (int64_t row = begin; row < end; ++row) {
    const T *gate = x + row * 2 * width, *up = gate + width, *from = dy + row * width;
    T *d_gate = dx + row * 2 * width, *d_up = d_gate + width;
    ForEachVector(width, [&](int64_t i, auto at) {
      const auto g = at.Load(gate + i), u = at.Load(up + i), d = at.Load(from + i);
      const auto s = Sigmoid2(Float(), hn::Mul(g, hn::Set(Float(), kLog2E)));
      const auto ds = hn::Mul(d, s);
      at.Store(hn::Mul(ds, g), d_up + i);
      at.Store(hn::Mul(hn::Mul(ds, u), hn::MulAdd(g, hn::Sub(one, s), one)), d_gate + i);
    });
  }
}

}  // namespace

void SwiGluRows(DType dtype, const void* x, int64_t width, int64_t begin, int64_t end, void* y) {
  if (dtype == DType::kBFloat16) {
    Forward(static_cast<const uint16_t*>(x), width, begin, end, static_cast<uint16_t*>(y));
  } else {
    Forward(static_cast<const float*>(x), width, begin, end, static_cast<float*>(y));
  }
}

void SwiGluBackwardRows(DType dtype, const void* x, const void* dy, int64_t width, int64_t begin, int64_t end,
                        void* dx) {
  if (dtype == DType::kBFloat16) {
    Backward(static_cast<const uint16_t*>(x), static_cast<const uint16_t*>(dy), width, begin, end,
             static_cast<uint16_t*>(dx));
  } else {
    Backward(static_cast<const float*>(x), static_cast<const float*>(dy), width, begin, end, static_cast<float*>(dx));
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

HWY_EXPORT(SwiGluRows);
HWY_EXPORT(SwiGluBackwardRows);

// Rows of some 16k elements a piece: below that, waking a thread costs more than it brings.
int64_t GrainRows(int64_t width) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)); }

void CheckDType(DType dtype) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "SwiGLU of " << DTypeName(dtype);
}

}  // namespace

void SwiGlu(DType dtype, const void* x, int64_t rows, int64_t width, void* y) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(rows, GrainRows(width), 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SwiGluRows)(dtype, x, width, begin, end, y);
  });
}

void SwiGluBackward(DType dtype, const void* x, const void* dy, int64_t rows, int64_t width, void* dx) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(rows, GrainRows(width), 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SwiGluBackwardRows)(dtype, x, dy, width, begin, end, dx);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
