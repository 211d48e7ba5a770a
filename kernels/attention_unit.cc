#include "kernels/attention_unit.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_unit.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/cache_control.h"
#include "hwy/highway.h"
//
#include "kernels/attention_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace attention {

using internal::AttentionProblem;
using internal::BackwardScratch;
using internal::ForwardScratch;
using internal::RoundUpToPad;

// Scores are held in units of log2(e), so that an exponential is a power of two: the factor goes into the queries.
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;

// 2^x within 1e-7 of its value for x <= 127; exactly 0 below -127; NaN stays NaN. The polynomial is Cephes' exp2f.
HWY_INLINE Vector Exp2(Vector x) {
  const Tag d;
  const hn::RebindToSigned<Tag> word;
  // In this order: of an ordinary number and NaN, x86's maximum is its second operand.
  x = hn::Max(hn::Set(d, -127.0f), x);
  const auto whole = hn::Round(x);
  const auto f = hn::Sub(x, whole);
  auto y = hn::Set(d, 1.535336188319500e-4f);
  y = hn::MulAdd(y, f, hn::Set(d, 1.339887440266574e-3f));
  y = hn::MulAdd(y, f, hn::Set(d, 9.618437357674640e-3f));
  y = hn::MulAdd(y, f, hn::Set(d, 5.550332471162809e-2f));
  y = hn::MulAdd(y, f, hn::Set(d, 2.402264791363012e-1f));
  y = hn::MulAdd(y, f, hn::Set(d, 6.931472028550421e-1f));
  y = hn::MulAdd(y, f, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(word, whole), hn::Set(word, 127)));
  return hn::Mul(y, hn::BitCast(d, exponent));
}

HWY_INLINE const char* RowAt(DType dtype, const ConstAttentionTensor& x, int64_t sample, int64_t head, int64_t row) {
  return static_cast<const char*>(x.data) +
         (sample * x.sample_stride + head * x.head_stride + row * x.row_stride) * DTypeBytes(dtype);
}
HWY_INLINE char* RowAt(DType dtype, const AttentionTensor& x, int64_t sample, int64_t head, int64_t row) {
  return static_cast<char*>(x.data) +
         (sample * x.sample_stride + head * x.head_stride + row * x.row_stride) * DTypeBytes(dtype);
}

// Packed rows lie kilobytes apart, each in a page of its own, where no CPU prefetches by itself: at 256 tokens three
// tenths of forward were waiting for rows. 32 rows of 256 bytes are 8 KiB of the first-level cache; 8 rows were
// measured to be too late, more than 16 make no difference.
constexpr int64_t kRowsAhead = 32;

HWY_INLINE void ReadRows(const AttentionProblem& problem, const ConstAttentionTensor& x, int64_t sample, int64_t head,
                         int64_t first, int64_t rows, float* to) {
  const int64_t width = problem.width();
  const int64_t row_bytes = problem.shape.head_dim * DTypeBytes(problem.dtype);
  const int64_t stride_bytes = x.row_stride * DTypeBytes(problem.dtype);
  const char* from = RowAt(problem.dtype, x, sample, head, first);
  for (int64_t r = 0; r < rows; ++r, from += stride_bytes) {
    if (r + kRowsAhead < rows) {
      for (int64_t i = 0; i < row_bytes; i += 64) hwy::Prefetch(from + kRowsAhead * stride_bytes + i);
    }
    ReadRow(problem.dtype, from, problem.shape.head_dim, width, to + r * width);
  }
}

HWY_INLINE void ZeroRows(const AttentionProblem& problem, int64_t first, int64_t end, float* rows) {
  if (end > first) std::memset(rows + first * problem.width(), 0, (end - first) * problem.width() * sizeof(float));
}

// A tile of scores: [keys, queries], rows `ld` apart.
struct Tile {
  int64_t sample, head, query, key;  // where it lies
  int64_t queries, keys;
  int64_t edge;
};

Tile MakeTile(const AttentionProblem& problem, int64_t sample, int64_t head, int64_t query, int64_t key) {
  Tile tile{sample, head, query, key, 0, 0, kNoEdge};
  tile.queries = std::min(problem.query_tile(), problem.shape.queries - query);
  tile.keys = std::min(problem.key_tile(), problem.shape.keys - key);
  // Only where something is hidden, so that other tiles take the straight way.
  if (problem.options.causal && query - key < tile.keys - 1) tile.edge = query - key;
  return tile;
}

// Keys that the tile of queries from `query` on sees at all.
int64_t KeysSeen(const AttentionProblem& problem, int64_t query) {
  if (!problem.options.causal) return problem.shape.keys;
  return std::min(problem.shape.keys, query + std::min(problem.query_tile(), problem.shape.queries - query));
}

// Element by element: a mask's rows are queries, and here they are lanes. With head_dim 64 that is a quarter of the
// time of the tile's products.
void ApplyMask(const AttentionMask& mask, const Tile& tile, float* scores, int64_t ld) {
  if (mask.kind == AttentionMask::Kind::kNone) return;
  const int64_t base = tile.sample * mask.sample_stride + tile.head * mask.head_stride;
  for (int64_t q = 0; q < tile.queries; ++q) {
    const int64_t row = base + (tile.query + q) * mask.query_stride + tile.key * mask.key_stride;
    const int64_t keys = VisibleKeys(q, tile.edge, tile.keys);
    if (mask.kind == AttentionMask::Kind::kVisible) {
      const bool* visible = static_cast<const bool*>(mask.data) + row;
      for (int64_t k = 0; k < keys; ++k) {
        if (!visible[k * mask.key_stride]) scores[k * ld + q] = -INFINITY;
      }
    } else {
      const float* added = static_cast<const float*>(mask.data) + row;
      for (int64_t k = 0; k < keys; ++k) {
        const float x = added[k * mask.key_stride];
        // Not beyond -1e30 unless it is infinite: the lowest fp32 number, which some use for "hidden", would become so.
        scores[k * ld + q] += std::isinf(x) ? x : std::max(x * kLog2E, -1e30f);
      }
    }
  }
}

// Queries q.. of a tile's columns that see row `key`: the causal edge inside a vector.
HWY_INLINE hn::Mask<Tag> Sees(int64_t query, int64_t key, int64_t edge) {
  const Tag d;
  return hn::Ge(hn::Iota(d, 0.0f), hn::Set(d, static_cast<float>(key - edge - query)));
}

// Rows of zeros below what a vector of queries sees: a block of a product may take in that many.
HWY_INLINE void ZeroBelow(int64_t seen, int64_t keys, int64_t ld, float* column) {
  const int64_t end = std::min(keys, seen + kBlockRows - 1);
  for (int64_t k = seen; k < end; ++k) hn::Store(hn::Zero(Tag()), Tag(), column + k * ld);
}

// Scores become exp(score - running maximum); maximum and sum run on; `rescale` is what earlier sums are to be
// multiplied by. Returns whether any of it is not 1.
HWY_INLINE bool RunningSoftmax(const Tile& tile, const ForwardScratch& s, int64_t ld) {
  const Tag d;
  auto rescaled = hn::Ne(hn::Zero(d), hn::Zero(d));
  for (int64_t q = 0; q < tile.queries; q += kLanes) {
    float* column = s.scores + q;
    const int64_t seen = VisibleKeys(q + kLanes - 1, tile.edge, tile.keys);
    const int64_t by_all = VisibleKeys(q, tile.edge, tile.keys);
    for (int64_t k = by_all; k < seen; ++k) {
      const auto x = hn::Load(d, column + k * ld);
      hn::Store(hn::IfThenElse(Sees(q, k, tile.edge), x, hn::Set(d, -INFINITY)), d, column + k * ld);
    }
    const auto before = hn::Load(d, s.max + q);
    auto top = before;
    for (int64_t k = 0; k < seen; ++k) top = hn::Max(top, hn::Load(d, column + k * ld));
    hn::Store(top, d, s.max + q);
    // A query that has seen no key yet: exp(-inf - 0) is the 0 that it should be.
    const auto shift = hn::IfThenElse(hn::Eq(top, hn::Set(d, -INFINITY)), hn::Zero(d), top);
    const auto rescale = Exp2(hn::Sub(before, shift));
    auto sum = hn::Mul(hn::Load(d, s.sum + q), rescale);
    for (int64_t k = 0; k < seen; ++k) {
      const auto p = Exp2(hn::Sub(hn::Load(d, column + k * ld), shift));
      hn::Store(p, d, column + k * ld);
      sum = hn::Add(sum, p);
    }
    hn::Store(sum, d, s.sum + q);
    hn::Store(rescale, d, s.rescale + q);
    rescaled = hn::Or(rescaled, hn::Ne(rescale, hn::Set(d, 1.0f)));
    ZeroBelow(seen, tile.keys, ld, column);
  }
  return !hn::AllFalse(d, rescaled);
}

void Forward(const AttentionProblem& problem, int64_t unit, float* scratch) {
  const Tag d;
  const AttentionShape& shape = problem.shape;
  const ForwardScratch s(problem, scratch);
  const int64_t pairs = shape.samples * shape.heads, width = problem.width(), ld = problem.columns();
  const int64_t query = (problem.query_tiles() - 1 - unit / pairs) * problem.query_tile();
  const int64_t sample = unit % pairs / shape.heads, head = unit % shape.heads;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const int64_t queries = std::min(problem.query_tile(), shape.queries - query), padded = RoundUpToPad(queries);

  ReadRows(problem, problem.q, sample, head, query, queries, s.out);
  ZeroRows(problem, queries, padded, s.out);
  Transposed(s.out, padded, width, problem.options.scale * kLog2E, s.q, ld);
  for (int64_t q = 0; q < padded; q += kLanes) {
    hn::Store(hn::Set(d, -INFINITY), d, s.max + q);
    hn::Store(hn::Zero(d), d, s.sum + q);
  }
  ZeroRows(problem, 0, queries, s.out);

  const int64_t keys = KeysSeen(problem, query);
  for (int64_t key = 0; key < keys; key += problem.key_tile()) {
    Tile tile = MakeTile(problem, sample, head, query, key);
    tile.keys = std::min(tile.keys, keys - key);
    ReadRows(problem, problem.k, sample, kv_head, key, tile.keys, s.k);
    ReadRows(problem, problem.v, sample, kv_head, key, tile.keys, s.v);
    ScoreProduct(tile.keys, padded, shape.head_dim, s.k, width, s.q, ld, s.scores, tile.edge);
    ApplyMask(problem.mask, tile, s.scores, ld);
    if (RunningSoftmax(tile, s, ld) && key > 0) {
      for (int64_t q = 0; q < queries; ++q) {
        const auto factor = hn::Set(d, s.rescale[q]);
        float* row = s.out + q * width;
        for (int64_t i = 0; i < width; i += kLanes) hn::Store(hn::Mul(hn::Load(d, row + i), factor), d, row + i);
      }
    }
    QueryProduct<true>(tile.keys, queries, width, s.scores, ld, s.v, s.out, tile.edge);
  }

  float* log_sum_exp = problem.written_log_sum_exp + (sample * shape.heads + head) * shape.queries + query;
  for (int64_t q = 0; q < queries; ++q) {
    const bool blind = s.max[q] == -INFINITY && s.sum[q] == 0.0f;
    WriteRow(problem.dtype, s.out + q * width, blind ? 0.0f : 1.0f / s.sum[q], shape.head_dim,
             RowAt(problem.dtype, problem.written_out, sample, head, query + q));
    log_sum_exp[q] = blind ? -INFINITY : s.max[q] * kLn2 + std::log(s.sum[q]);
  }
}

// s.p: scores, becomes probabilities; s.ds: gradient of the probabilities, becomes that of the scores (before scale).
HWY_INLINE void SoftmaxBackward(const Tile& tile, const BackwardScratch& s, int64_t ld) {
  const Tag d;
  for (int64_t q = 0; q < tile.queries; q += kLanes) {
    const int64_t seen = VisibleKeys(q + kLanes - 1, tile.edge, tile.keys);
    const int64_t by_all = VisibleKeys(q, tile.edge, tile.keys);
    const auto log_sum_exp = hn::Load(d, s.log_sum_exp + q), delta = hn::Load(d, s.delta + q);
    for (int64_t k = 0; k < seen; ++k) {
      const int64_t at = k * ld + q;
      auto p = Exp2(hn::Sub(hn::Load(d, s.p + at), log_sum_exp));
      auto ds = hn::Mul(p, hn::Sub(hn::Load(d, s.ds + at), delta));
      if (k >= by_all) {
        const auto sees = Sees(q, k, tile.edge);
        p = hn::IfThenElseZero(sees, p);
        ds = hn::IfThenElseZero(sees, ds);
      }
      hn::Store(p, d, s.p + at);
      hn::Store(ds, d, s.ds + at);
    }
    ZeroBelow(seen, tile.keys, ld, s.p + q);
    ZeroBelow(seen, tile.keys, ld, s.ds + q);
  }
}

// What backward needs of a tile of queries: rows and columns of q and dout, log-sum-exp, and per query
// delta = sum of dout * out, which is the sum of probability * its gradient (FlashAttention-2, algorithm 2).
void ReadQueries(const AttentionProblem& problem, int64_t sample, int64_t head, int64_t query, int64_t queries,
                 const BackwardScratch& s) {
  const Tag d;
  const int64_t width = problem.width(), ld = problem.columns(), padded = RoundUpToPad(queries);
  ReadRows(problem, problem.q, sample, head, query, queries, s.q);
  ReadRows(problem, problem.dout, sample, head, query, queries, s.dout);
  ReadRows(problem, problem.out, sample, head, query, queries, s.dq);
  ZeroRows(problem, queries, padded, s.q);
  ZeroRows(problem, queries, padded, s.dout);
  Transposed(s.q, padded, width, problem.options.scale * kLog2E, s.q_columns, ld);
  Transposed(s.dout, padded, width, 1.0f, s.dout_columns, ld);
  const float* log_sum_exp = problem.log_sum_exp + (sample * problem.shape.heads + head) * problem.shape.queries;
  for (int64_t q = 0; q < padded; ++q) {
    // A query that sees no key, and padding: exp(score - inf) makes each probability 0.
    const bool blind = q >= queries || log_sum_exp[query + q] == -INFINITY;
    s.log_sum_exp[q] = blind ? INFINITY : log_sum_exp[query + q] * kLog2E;
    auto sum = hn::Zero(d);
    for (int64_t i = 0; i < width && !blind; i += kLanes) {
      sum = hn::MulAdd(hn::Load(d, s.dout + q * width + i), hn::Load(d, s.dq + q * width + i), sum);
    }
    s.delta[q] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

// All queries of all heads that read one kv head, in order; keys' gradients are summed in scratch on the way.
void Backward(const AttentionProblem& problem, int64_t unit, float* scratch) {
  const AttentionShape& shape = problem.shape;
  const BackwardScratch s(problem, scratch);
  const int64_t width = problem.width(), ld = problem.columns(), group = shape.heads / shape.kv_heads;
  const int64_t sample = unit / shape.kv_heads, kv_head = unit % shape.kv_heads;
  const float scale = problem.options.scale;

  ReadRows(problem, problem.k, sample, kv_head, 0, shape.keys, s.k);
  ReadRows(problem, problem.v, sample, kv_head, 0, shape.keys, s.v);
  ZeroRows(problem, 0, shape.keys, s.dk);
  ZeroRows(problem, 0, shape.keys, s.dv);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t query = 0; query < shape.queries; query += problem.query_tile()) {
      const int64_t queries = std::min(problem.query_tile(), shape.queries - query), padded = RoundUpToPad(queries);
      ReadQueries(problem, sample, head, query, queries, s);
      ZeroRows(problem, 0, queries, s.dq);
      const int64_t keys = KeysSeen(problem, query);
      for (int64_t key = 0; key < keys; key += problem.key_tile()) {
        Tile tile = MakeTile(problem, sample, head, query, key);
        tile.keys = std::min(tile.keys, keys - key);
        const int64_t at = key * width;
        ScoreProduct(tile.keys, padded, shape.head_dim, s.k + at, width, s.q_columns, ld, s.p, tile.edge);
        ApplyMask(problem.mask, tile, s.p, ld);
        ScoreProduct(tile.keys, padded, shape.head_dim, s.v + at, width, s.dout_columns, ld, s.ds, tile.edge);
        SoftmaxBackward(tile, s, ld);
        KeyProduct(tile.keys, queries, width, s.p, ld, s.dout, s.dv + at, tile.edge);
        KeyProduct(tile.keys, queries, width, s.ds, ld, s.q, s.dk + at, tile.edge);
        QueryProduct<true>(tile.keys, queries, width, s.ds, ld, s.k + at, s.dq, tile.edge);
      }
      for (int64_t q = 0; q < queries; ++q) {
        WriteRow(problem.dtype, s.dq + q * width, scale, shape.head_dim,
                 RowAt(problem.dtype, problem.gradients.dq, sample, head, query + q));
      }
    }
  }
  for (int64_t k = 0; k < shape.keys; ++k) {
    WriteRow(problem.dtype, s.dk + k * width, scale, shape.head_dim,
             RowAt(problem.dtype, problem.gradients.dk, sample, kv_head, k));
    WriteRow(problem.dtype, s.dv + k * width, 1.0f, shape.head_dim,
             RowAt(problem.dtype, problem.gradients.dv, sample, kv_head, k));
  }
}

}  // namespace attention

void AttentionForwardUnit(const internal::AttentionProblem& problem, int64_t unit, float* scratch) {
  attention::Forward(problem, unit, scratch);
}
void AttentionBackwardUnit(const internal::AttentionProblem& problem, int64_t unit, float* scratch) {
  attention::Backward(problem, unit, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {

HWY_EXPORT(AttentionForwardUnit);
HWY_EXPORT(AttentionBackwardUnit);

namespace internal {

void ForwardUnit(const AttentionProblem& problem, int64_t unit, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionForwardUnit)(problem, unit, scratch);
}

void BackwardUnit(const AttentionProblem& problem, int64_t unit, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionBackwardUnit)(problem, unit, scratch);
}

}  // namespace internal
}  // namespace stowage::kernels
#endif  // HWY_ONCE
