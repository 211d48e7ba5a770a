#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cross_entropy.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "hwy/contrib/math/math-inl.h"
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// row[i] = row[i] * scale, less 1 at the target, in place. The element of bf16 that is written lies before, or where,
// the next one of fp32 is read.
void GradientToBf16(float* row, int64_t target, int64_t classes, float scale) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  uint16_t* to = reinterpret_cast<uint16_t*>(row);
  const float at_target = row[target] * scale - 1.0f;
  const auto factor = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + lanes <= classes; i += lanes) StoreBf16(hn::Mul(hn::LoadU(d, row + i), factor), d, to + i);
  const hn::CappedTag<float, 1> one;
  for (; i < classes; ++i) StoreBf16(hn::Mul(hn::LoadU(one, row + i), hn::Set(one, scale)), one, to + i);
  StoreBf16(hn::Set(one, at_target), one, to + target);
}

// Three passes over a row that stays in the second-level cache: maximum, sum of exponentials (which replace the
// logits if the gradient is wanted), scale. The tail goes through the same code by way of a padded vector.
double RowLoss(float* row, int64_t target, int64_t classes, bool with_gradient, bool gradient_in_bf16) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = classes / lanes * lanes;
  const int64_t rest = classes - whole;
  HWY_ALIGN float tail[hn::MaxLanes(d)];
  const auto lowest = hn::Set(d, -INFINITY);

  const auto load_tail = [&] {
    hn::Store(lowest, d, tail);
    std::memcpy(tail, row + whole, rest * sizeof(float));
    return hn::Load(d, tail);
  };

  auto top = lowest;
  for (int64_t i = 0; i < whole; i += lanes) top = hn::Max(top, hn::LoadU(d, row + i));
  if (rest) top = hn::Max(top, load_tail());
  const float max = hn::GetLane(hn::MaxOfLanes(d, top));
  const float target_logit = row[target];

  const auto shift = hn::Set(d, max);
  auto sum = hn::Zero(d);
  // Highway's Exp turns NaN into a number, so NaN (and inf - inf) is watched for beside it.
  auto nan = hn::IsNaN(sum);
  for (int64_t i = 0; i < whole; i += lanes) {
    const auto z = hn::Sub(hn::LoadU(d, row + i), shift);
    nan = hn::Or(nan, hn::IsNaN(z));
    const auto e = hn::Exp(d, z);
    if (with_gradient) hn::StoreU(e, d, row + i);
    sum = hn::Add(sum, e);
  }
  if (rest) {
    // exp(-inf) of the padding is 0 and adds nothing.
    const auto z = hn::Sub(load_tail(), shift);
    nan = hn::Or(nan, hn::IsNaN(z));
    auto e = hn::Exp(d, z);
    e = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(rest)), e, hn::Zero(d));
    hn::Store(e, d, tail);
    if (with_gradient) std::memcpy(row + whole, tail, rest * sizeof(float));
    sum = hn::Add(sum, e);
  }
  const float total = hn::AllFalse(d, nan) ? hn::GetLane(hn::SumOfLanes(d, sum)) : std::nanf("");

  if (with_gradient && gradient_in_bf16) {
    GradientToBf16(row, target, classes, 1.0f / total);
  } else if (with_gradient) {
    const float inverse = 1.0f / total;
    const auto scale = hn::Set(d, inverse);
    for (int64_t i = 0; i < whole; i += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, row + i), scale), d, row + i);
    for (int64_t i = whole; i < classes; ++i) row[i] *= inverse;
    row[target] -= 1.0f;
  }
  return std::log(static_cast<double>(total)) + (static_cast<double>(max) - static_cast<double>(target_logit));
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/parallel.h"

namespace stowage::kernels {

HWY_EXPORT(RowLoss);

namespace {

double Sweep(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored, bool with_gradient,
             bool gradient_in_bf16) {
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
