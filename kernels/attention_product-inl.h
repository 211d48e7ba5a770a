// Products of tiles for attention, and rows going into tiles and out of them. Included once per target.
//
// Rows of C are computed kBlockRows by kBlockVectors vectors at a time in registers: one loaded vector of B serves all
// rows, one broadcast element of A all vectors. 6 x 4 accumulators, 4 vectors of B and a broadcast fit 32 registers;
// 6 x 2 fit 16. Per step that is 24 multiply-adds on 10 loads (12 on 8), so the multipliers and not the loads are the
// limit, and 12 or more independent sums cover a multiply-add's latency of 4 cycles at 2 a cycle.
//
// Nothing is transposed for a product but the queries (and dout) of a tile: scores are held with the keys as rows and
// the queries as lanes, which all five products take as they are, A by rows or by columns. It also makes softmax's
// maximum and sum of each query a plain vector operation down the rows.
#if defined(STOWAGE_KERNELS_ATTENTION_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_ATTENTION_PRODUCT_INL_H_
#undef STOWAGE_KERNELS_ATTENTION_PRODUCT_INL_H_
#else
#define STOWAGE_KERNELS_ATTENTION_PRODUCT_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"
#include "hwy/highway.h"
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace attention {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;
constexpr int64_t kLanes = hn::MaxLanes(Tag());

constexpr int kBlockRows = 6;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kBlockVectors = 4;
#else
constexpr int kBlockVectors = 2;
#endif

// The causal edge within a tile: its query q sees its keys k <= q + edge. This one hides nothing.
constexpr int64_t kNoEdge = int64_t{1} << 40;

// The first vector of queries of which one sees key `key` (and, as it comes first, any later key of a block).
HWY_INLINE int64_t FirstQuery(int64_t key, int64_t edge) { return std::max<int64_t>(0, key - edge) / kLanes * kLanes; }

// How many of the `keys` first keys are seen by a query of [0, query].
HWY_INLINE int64_t VisibleKeys(int64_t query, int64_t edge, int64_t keys) {
  return std::clamp<int64_t>(query + edge + 1, 0, keys);
}

// C [kRows, kVectors * lanes] = or += A [kRows, depth] * B [depth, kVectors * lanes]. A's element (i, k) lies at
// a[i * lda + k], or at a[k * lda + i] if kByColumn.
template <int kRows, int kVectors, bool kByColumn, bool kAdd>
HWY_INLINE void Block(int64_t depth, const float* HWY_RESTRICT a, int64_t lda, const float* HWY_RESTRICT b, int64_t ldb,
                      float* HWY_RESTRICT c, int64_t ldc) {
  const Tag d;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sum[i][j] = kAdd ? hn::Load(d, c + i * ldc + j * kLanes) : hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vector row[kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) row[j] = hn::Load(d, b + k * ldb + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const auto x = hn::Set(d, kByColumn ? a[k * lda + i] : a[i * lda + k]);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) sum[i][j] = hn::MulAdd(x, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) hn::Store(sum[i][j], d, c + i * ldc + j * kLanes);
  }
}

using BlockFunction = void (*)(int64_t, const float*, int64_t, const float*, int64_t, float*, int64_t);

template <int kRows, int kVectors, bool kByColumn, bool kAdd>
HWY_NOINLINE void BlockCall(int64_t depth, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                            int64_t ldc) {
  Block<kRows, kVectors, kByColumn, kAdd>(depth, a, lda, b, ldb, c, ldc);
}

// rows 1..kBlockRows, columns a multiple of kLanes up to kBlockVectors * kLanes.
template <bool kByColumn, bool kAdd>
HWY_INLINE void AnyBlock(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t lda, const float* b,
                         int64_t ldb, float* c, int64_t ldc) {
#define STOWAGE_ROW(v)                                                                                       \
  {                                                                                                          \
    BlockCall<1, v, kByColumn, kAdd>, BlockCall<2, v, kByColumn, kAdd>, BlockCall<3, v, kByColumn, kAdd>,    \
        BlockCall<4, v, kByColumn, kAdd>, BlockCall<5, v, kByColumn, kAdd>, BlockCall<6, v, kByColumn, kAdd> \
  }
  static_assert(kBlockRows == 6 && (kBlockVectors == 2 || kBlockVectors == 4), "the table below");
  static constexpr BlockFunction kBlocks[kBlockVectors][kBlockRows] = {
    STOWAGE_ROW(1),
    STOWAGE_ROW(2),
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
    STOWAGE_ROW(3),
    STOWAGE_ROW(4),
#endif
  };
#undef STOWAGE_ROW
  kBlocks[columns / kLanes - 1][rows - 1](depth, a, lda, b, ldb, c, ldc);
}

constexpr int64_t kBlockColumns = kBlockVectors * kLanes;

// out [keys, queries] = rows [keys, dim] (row length ld_rows) * columns [dim, queries]; `queries` a multiple of
// kLanes. Vectors in which no query sees the key are left alone.
HWY_INLINE void ScoreProduct(int64_t keys, int64_t queries, int64_t dim, const float* rows, int64_t ld_rows,
                             const float* columns, int64_t ld, float* out, int64_t edge) {
  for (int64_t n = 0; n < queries; n += kBlockColumns) {
    const int64_t end = std::min(n + kBlockColumns, queries);
    for (int64_t m = 0; m < keys; m += kBlockRows) {
      const int64_t begin = std::max(n, FirstQuery(m, edge));
      if (begin >= end) break;
      AnyBlock<false, false>(std::min<int64_t>(kBlockRows, keys - m), end - begin, dim, rows + m * ld_rows, ld_rows,
                             columns + begin, ld, out + m * ld + begin, ld);
    }
  }
}

// out [queries, width] = or += the transpose of p [keys, queries] * rows [keys, width].
template <bool kAdd>
HWY_INLINE void QueryProduct(int64_t keys, int64_t queries, int64_t width, const float* p, int64_t ld,
                             const float* rows, float* out, int64_t edge) {
  for (int64_t n = 0; n < width; n += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, width - n);
    for (int64_t m = 0; m < queries; m += kBlockRows) {
      const int64_t count = std::min<int64_t>(kBlockRows, queries - m);
      const int64_t depth = VisibleKeys(m + count - 1, edge, keys);
      if (kAdd && depth == 0) continue;
      AnyBlock<true, kAdd>(count, columns, depth, p + m, ld, rows + n, width, out + m * width + n, width);
    }
  }
}

// out [keys, width] += p [keys, queries] * rows [queries, width].
HWY_INLINE void KeyProduct(int64_t keys, int64_t queries, int64_t width, const float* p, int64_t ld, const float* rows,
                           float* out, int64_t edge) {
  for (int64_t n = 0; n < width; n += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, width - n);
    for (int64_t m = 0; m < keys; m += kBlockRows) {
      const int64_t first = FirstQuery(m, edge);
      if (first >= queries) break;
      AnyBlock<false, true>(std::min<int64_t>(kBlockRows, keys - m), columns, queries - first, p + m * ld + first, ld,
                            rows + first * width + n, width, out + m * width + n, width);
    }
  }
}

// One row of `dim` elements of a tensor, as fp32 followed by zeros up to `width`.
HWY_INLINE void ReadRow(DType dtype, const void* from, int64_t dim, int64_t width, float* HWY_RESTRICT to) {
  const Tag d;
  const hn::CappedTag<float, 1> one;
  int64_t i = 0;
  if (dtype == DType::kFloat32) {
    const float* row = static_cast<const float*>(from);
    for (; i + kLanes <= dim; i += kLanes) hn::Store(hn::LoadU(d, row + i), d, to + i);
    for (; i < dim; ++i) to[i] = row[i];
  } else {
    const uint16_t* row = static_cast<const uint16_t*>(from);
    for (; i + kLanes <= dim; i += kLanes) hn::Store(LoadBf16(d, row + i), d, to + i);
    for (; i < dim; ++i) hn::StoreU(LoadBf16(one, row + i), one, to + i);
  }
  for (; i < width; ++i) to[i] = 0.0f;
}

// The reverse, times `scale`.
HWY_INLINE void WriteRow(DType dtype, const float* HWY_RESTRICT from, float scale, int64_t dim, void* to) {
  const Tag d;
  const hn::CappedTag<float, 1> one;
  const auto factor = hn::Set(d, scale);
  int64_t i = 0;
  if (dtype == DType::kFloat32) {
    float* row = static_cast<float*>(to);
    for (; i + kLanes <= dim; i += kLanes) hn::StoreU(hn::Mul(hn::Load(d, from + i), factor), d, row + i);
    for (; i < dim; ++i) row[i] = from[i] * scale;
  } else {
    uint16_t* row = static_cast<uint16_t*>(to);
    for (; i + kLanes <= dim; i += kLanes) StoreBf16(hn::Mul(hn::Load(d, from + i), factor), d, row + i);
    for (; i < dim; ++i) StoreBf16(hn::Mul(hn::LoadU(one, from + i), hn::Set(one, scale)), one, row + i);
  }
}

// to [width, ld], of which the first `rows` columns (a multiple of 4) are written = scale * from [rows, width]
// transposed, 4 x 4 at a time.
HWY_INLINE void Transposed(const float* HWY_RESTRICT from, int64_t rows, int64_t width, float scale,
                           float* HWY_RESTRICT to, int64_t ld) {
  const hn::CappedTag<float, 4> d;
  const hn::Repartition<double, decltype(d)> pair;
  const auto factor = hn::Set(d, scale);
  for (int64_t r = 0; r < rows; r += 4) {
    for (int64_t c = 0; c < width; c += 4) {
      const float* at = from + r * width + c;
      const auto x0 = hn::Mul(hn::Load(d, at), factor), x1 = hn::Mul(hn::Load(d, at + width), factor);
      const auto x2 = hn::Mul(hn::Load(d, at + 2 * width), factor), x3 = hn::Mul(hn::Load(d, at + 3 * width), factor);
      const auto lower01 = hn::BitCast(pair, hn::InterleaveLower(d, x0, x1));
      const auto lower23 = hn::BitCast(pair, hn::InterleaveLower(d, x2, x3));
      const auto upper01 = hn::BitCast(pair, hn::InterleaveUpper(d, x0, x1));
      const auto upper23 = hn::BitCast(pair, hn::InterleaveUpper(d, x2, x3));
      float* out = to + c * ld + r;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pair, lower01, lower23)), d, out);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pair, lower01, lower23)), d, out + ld);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pair, upper01, upper23)), d, out + 2 * ld);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pair, upper01, upper23)), d, out + 3 * ld);
    }
  }
}

}  // namespace attention
}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
