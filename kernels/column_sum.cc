#include "kernels/column_sum.h"

#include <algorithm>
#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/column_sum.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
//
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// 256 columns: both sums lie in the first-level cache, and a row's part is four cache lines and more.
constexpr int64_t kBlockColumns = 256;
constexpr int64_t kBlockRows = 64;

// sums[j] += from[j] for `columns` elements.
HWY_INLINE void AddRow(const uint16_t* from, int64_t columns, float* sums) {
  const hn::ScalableTag<float> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes)
    hn::StoreU(hn::Add(hn::LoadU(d, sums + j), LoadBf16(d, from + j)), d, sums + j);
  for (; j < columns; ++j) {
    const uint32_t bits = static_cast<uint32_t>(from[j]) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    sums[j] += value;
  }
}

void ColumnSumRange(const uint16_t* from, int64_t rows, int64_t row_length, int64_t begin, int64_t end, bool accumulate,
                    float* to) {
  for (int64_t column = begin; column < end; column += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, end - column);
    alignas(64) float total[kBlockColumns] = {};
    for (int64_t row = 0; row < rows; row += kBlockRows) {
      alignas(64) float part[kBlockColumns] = {};
      const int64_t last = std::min(rows, row + kBlockRows);
      for (int64_t i = row; i < last; ++i) AddRow(from + i * row_length + column, columns, part);
      for (int64_t j = 0; j < columns; ++j) total[j] += part[j];
    }
    for (int64_t j = 0; j < columns; ++j) to[column + j] = accumulate ? to[column + j] + total[j] : total[j];
  }
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(ColumnSumRange);

}  // namespace

void ColumnSumBf16(const uint16_t* from, int64_t rows, int64_t columns, bool accumulate, float* to) {
  if (Dry()) return;
  // About 16k elements a piece, of whole cache lines: below that, waking the team costs more than the sum.
  const int64_t grain = std::max<int64_t>(32, 16384 / std::max<int64_t>(1, rows));
  ParallelFor(columns, grain, 32, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ColumnSumRange)(from, rows, columns, begin, end, accumulate, to);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
