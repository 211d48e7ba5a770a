#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cross_entropy.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/bf16-inl.h"
#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;
constexpr int64_t kLanes = hn::MaxLanes(Tag());

// A row goes through the arithmetic in pieces of 8 KiB, which stay in the first-level cache between their maximum and
// their exponentials: so memory is read while exponentials are computed, not before. At most kMostPieces (longer ones
// for more classes than GPTs have).
constexpr int64_t kPieceNumel = 2048;
constexpr int64_t kMostPieces = 64;

int64_t PieceNumel(int64_t classes) {
  const int64_t at_least = std::max(kPieceNumel, (classes + kMostPieces - 1) / kMostPieces);
  return (at_least + kLanes - 1) / kLanes * kLanes;
}

// The last elements of a row, padded with what adds nothing to a maximum or to a sum of exponentials.
HWY_INLINE Vector LoadTail(const float* from, int64_t count) {
  HWY_ALIGN float padded[kLanes];
  hn::Store(hn::Set(Tag(), -INFINITY), Tag(), padded);
  std::memcpy(padded, from, count * sizeof(float));
  return hn::Load(Tag(), padded);
}

// Four at a time, here and below: one alone would wait for itself. By hand, since the compiler keeps arrays of vectors
// in memory.
struct FourVectors {
  explicit FourVectors(float value)
      : a(hn::Set(Tag(), value)), b(hn::Set(Tag(), value)), c(hn::Set(Tag(), value)), d(hn::Set(Tag(), value)) {}
  Vector a, b, c, d;
};

// NaN may be missed: what it is compared with may win. The exponentials do not miss it.
HWY_INLINE float Maximum(const float* values, int64_t numel) {
  const Tag d;
  FourVectors top(-INFINITY);
  int64_t i = 0;
  for (; i + 4 * kLanes <= numel; i += 4 * kLanes) {
    top.a = hn::Max(top.a, hn::LoadU(d, values + i));
    top.b = hn::Max(top.b, hn::LoadU(d, values + i + kLanes));
    top.c = hn::Max(top.c, hn::LoadU(d, values + i + 2 * kLanes));
    top.d = hn::Max(top.d, hn::LoadU(d, values + i + 3 * kLanes));
  }
  for (; i + kLanes <= numel; i += kLanes) top.a = hn::Max(top.a, hn::LoadU(d, values + i));
  if (i < numel) top.a = hn::Max(top.a, LoadTail(values + i, numel - i));
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(top.a, top.b), hn::Max(top.c, top.d))));
}

// e^x, x <= 0. The product's rounding is a relative error of up to 6e-8 |x|, of a term that is as small as e^x.
template <class D>
HWY_INLINE hn::Vec<D> Exp(D d, hn::Vec<D> x) {
  return Exp2(d, hn::Mul(x, hn::Set(d, kLog2E)));
}

template <bool kStore>
HWY_INLINE Vector Exponential(float* values, Vector reference) {
  const Vector e = Exp(Tag(), hn::Sub(hn::LoadU(Tag(), values), reference));
  if (kStore) hn::StoreU(e, Tag(), values);
  return e;
}

// Sum of exp(values - reference); kStore: those replace the values. Meanwhile the next piece is brought from memory
// (where there is none, a prefetch does nothing): the hardware's own prefetching stops at pages.
template <bool kStore>
HWY_INLINE float Exponentials(float* values, int64_t numel, float reference) {
  const Tag d;
  const Vector shift = hn::Set(d, reference);
  FourVectors sum(0.0f);
  int64_t i = 0;
  for (; i + 4 * kLanes <= numel; i += 4 * kLanes) {
    for (int64_t line = 0; line < 4 * kLanes; line += 16) hwy::Prefetch(values + numel + i + line);
    sum.a = hn::Add(sum.a, Exponential<kStore>(values + i, shift));
    sum.b = hn::Add(sum.b, Exponential<kStore>(values + i + kLanes, shift));
    sum.c = hn::Add(sum.c, Exponential<kStore>(values + i + 2 * kLanes, shift));
    sum.d = hn::Add(sum.d, Exponential<kStore>(values + i + 3 * kLanes, shift));
  }
  for (; i + kLanes <= numel; i += kLanes) sum.a = hn::Add(sum.a, Exponential<kStore>(values + i, shift));
  if (i < numel) {
    const Vector e = Exp(d, hn::Sub(LoadTail(values + i, numel - i), shift));
    HWY_ALIGN float tail[kLanes];
    hn::Store(e, d, tail);
    if (kStore) std::memcpy(values + i, tail, (numel - i) * sizeof(float));
    sum.a = hn::Add(sum.a, e);
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum.a, sum.b), hn::Add(sum.c, sum.d))));
}

float ExpOf(float x) {
  const hn::CappedTag<float, 1> one;
  return hn::GetLane(Exp(one, hn::Set(one, x)));
}

// to[i] = from[i] * scale. `to` may be `from`, or, in bf16, lie in the same bytes: an element is written before, or
// where, the next one of fp32 is read.
HWY_INLINE void Scale(const float* from, int64_t numel, float scale, float* to) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, from + i), hn::Set(d, scale)), d, to + i);
  for (; i < numel; ++i) to[i] = from[i] * scale;
}
HWY_INLINE void Scale(const float* from, int64_t numel, float scale, uint16_t* to) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) StoreBf16(hn::Mul(hn::LoadU(d, from + i), hn::Set(d, scale)), d, to + i);
  const hn::CappedTag<float, 1> one;
  for (; i < numel; ++i) StoreBf16(hn::Set(one, from[i] * scale), one, to + i);
}

// The softmax of a row whose exponentials were taken from `references`, piece by piece, less 1 at the target.
template <typename T>
void Gradient(float* row, int64_t target, int64_t classes, const float* references, float last, float total, T* to) {
  const int64_t piece = PieceNumel(classes);
  const auto scale = [&](int64_t i) { return ExpOf(references[i / piece] - last) / total; };
  const float at_target = row[target] * scale(target) - 1.0f;
  for (int64_t i = 0; i < classes; i += piece) Scale(row + i, std::min(piece, classes - i), scale(i), to + i);
  const hn::CappedTag<float, 1> one;
  if constexpr (std::is_same<T, float>()) {
    to[target] = at_target;
  } else {
    StoreBf16(hn::Set(one, at_target), one, to + target);
  }
}

// Softmax in one read of memory: each piece's exponentials are taken from the largest element so far, and what was
// summed before is scaled when that grows (Milakov and Gimelshein, arXiv:1805.02867).
double RowLoss(float* row, int64_t target, int64_t classes, bool with_gradient, bool gradient_in_bf16) {
  const int64_t piece = PieceNumel(classes);
  const float target_logit = row[target];
  float references[kMostPieces + 1];
  float largest = -INFINITY, reference = 0.0f, total = 0.0f;
  for (int64_t i = 0; i < classes; i += piece) {
    const int64_t numel = std::min(piece, classes - i);
    largest = std::max(largest, Maximum(row + i, numel));
    // Where all so far are -inf, any number serves.
    const float next = largest == -INFINITY ? 0.0f : largest;
    if (i > 0 && next != reference) total *= ExpOf(reference - next);
    reference = references[i / piece] = next;
    total +=
        with_gradient ? Exponentials<true>(row + i, numel, reference) : Exponentials<false>(row + i, numel, reference);
  }
  if (with_gradient && gradient_in_bf16) {
    Gradient(row, target, classes, references, reference, total, reinterpret_cast<uint16_t*>(row));
  } else if (with_gradient) {
    Gradient(row, target, classes, references, reference, total, row);
  }
  return std::log(static_cast<double>(total)) + (static_cast<double>(reference) - static_cast<double>(target_logit));
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {

HWY_EXPORT(RowLoss);

namespace {

double Sweep(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored, bool with_gradient,
             bool gradient_in_bf16) {
  if (Dry()) return 0.0;
  std::vector<double> losses(static_cast<size_t>(rows), 0.0);
  // About 16k elements a piece: below that, waking the team costs more than the row.
  const int64_t grain = std::max<int64_t>(1, 16384 / classes);
  ParallelFor(rows, grain, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* row = logits + r * classes;
      if (targets[r] == ignored) {
        if (with_gradient) std::memset(row, 0, static_cast<size_t>(classes) * sizeof(float));
        continue;
      }
      losses[r] = HWY_DYNAMIC_DISPATCH(RowLoss)(row, targets[r], classes, with_gradient, gradient_in_bf16);
    }
  });
  double sum = 0.0;
  for (double loss : losses) sum += loss;
  return sum;
}

}  // namespace

double CrossEntropy(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored,
                    bool with_gradient) {
  return Sweep(logits, targets, rows, classes, ignored, with_gradient, /*gradient_in_bf16=*/false);
}

double CrossEntropyBf16Gradient(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored) {
  return Sweep(logits, targets, rows, classes, ignored, /*with_gradient=*/true, /*gradient_in_bf16=*/true);
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
