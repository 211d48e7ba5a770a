#include "kernels/norm.h"

#include <algorithm>

#include "kernels/dry.h"
#include "kernels/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"
//
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The order of a chunk's sum: 16 fp64 accumulators, the j-th of elements j, j + 16, j + 32, ..., then halved as a tree.
// 16 is a multiple of every vector's lanes, so each width sums in this order. A square of two fp32 is exact in fp64.
constexpr int kAccumulators = 16;

using DoubleTag = hn::CappedTag<double, kAccumulators>;
using FloatTag = hn::Rebind<float, DoubleTag>;
using CountTag = hn::Rebind<int32_t, DoubleTag>;
constexpr int kLanes = hn::MaxLanes(DoubleTag());
constexpr int kVectors = kAccumulators / kLanes;

struct Accumulators {
  hn::Vec<DoubleTag> sum[kVectors];
  hn::Vec<CountTag> minus_non_finite[kVectors];
};

HWY_INLINE hn::Vec<FloatTag> LoadVector(const float* values) { return hn::LoadU(FloatTag(), values); }
HWY_INLINE hn::Vec<FloatTag> LoadVector(const uint16_t* values) { return LoadBf16(FloatTag(), values); }

// 16 elements. T is float, or uint16_t for bf16, here and below.
template <typename T>
HWY_INLINE void AddBlock(const T* HWY_RESTRICT values, Accumulators& to) {
  const CountTag count_tag;
  const auto exponent = hn::Set(count_tag, 0x7f800000);
  for (int j = 0; j < kVectors; ++j) {
    const auto bits = hn::BitCast(count_tag, LoadVector(values + j * kLanes));
    // All ones where the exponent is that of NaN and infinity.
    const auto non_finite = hn::VecFromMask(count_tag, hn::Eq(hn::And(bits, exponent), exponent));
    const auto x = hn::PromoteTo(DoubleTag(), hn::BitCast(FloatTag(), hn::AndNot(non_finite, bits)));
    to.sum[j] = hn::Add(to.sum[j], hn::Mul(x, x));
    to.minus_non_finite[j] = hn::Add(to.minus_non_finite[j], non_finite);
  }
}

// At most kNormChunkNumel elements. A short last block is padded with zeros, which change no sum.
template <typename T>
HWY_INLINE void SumOfChunk(const T* values, int64_t numel, NormResult* result) {
  Accumulators accumulators;
  for (int j = 0; j < kVectors; ++j) {
    accumulators.sum[j] = hn::Zero(DoubleTag());
    accumulators.minus_non_finite[j] = hn::Zero(CountTag());
  }
  int64_t i = 0;
  for (; i + kAccumulators <= numel; i += kAccumulators) AddBlock(values + i, accumulators);
  if (i < numel) {
    alignas(64) T tail[kAccumulators] = {};
    for (int64_t j = i; j < numel; ++j) tail[j - i] = values[j];
    AddBlock(tail, accumulators);
  }
  alignas(64) double sums[kAccumulators];
  alignas(64) int32_t counts[kAccumulators];
  for (int j = 0; j < kVectors; ++j) {
    hn::StoreU(accumulators.sum[j], DoubleTag(), sums + j * kLanes);
    hn::StoreU(accumulators.minus_non_finite[j], CountTag(), counts + j * kLanes);
  }
  for (int half = kAccumulators / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  result->sum_of_squares = sums[0];
  result->non_finite = 0;
  for (int j = 0; j < kAccumulators; ++j) result->non_finite -= counts[j];
}

void ChunkSumOfSquares(const float* values, int64_t numel, NormResult* result) { SumOfChunk(values, numel, result); }
void ChunkSumOfSquaresBf16(const uint16_t* values, int64_t numel, NormResult* result) {
  SumOfChunk(values, numel, result);
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(ChunkSumOfSquares);
HWY_EXPORT(ChunkSumOfSquaresBf16);

// Partial results are kept on the stack, so that a norm allocates nothing: 1,024 chunks (256 MiB of fp32) at a time.
constexpr int64_t kChunksAtATime = 1024;

// sum_of_chunk(values, numel, result).
template <typename T, typename SumOfChunk>
NormResult SumOfChunks(const T* values, int64_t numel, SumOfChunk sum_of_chunk) {
  if (Dry()) return {};
  NormResult result;
  NormResult partial[kChunksAtATime];
  const int64_t chunks = (numel + kNormChunkNumel - 1) / kNormChunkNumel;
  for (int64_t first = 0; first < chunks; first += kChunksAtATime) {
    const int64_t count = std::min(kChunksAtATime, chunks - first);
    ParallelFor(count, /*grain=*/1, /*multiple=*/1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const int64_t offset = (first + c) * kNormChunkNumel;
        sum_of_chunk(values + offset, std::min(kNormChunkNumel, numel - offset), &partial[c]);
      }
    });
    for (int64_t c = 0; c < count; ++c) {
      result.sum_of_squares += partial[c].sum_of_squares;
      result.non_finite += partial[c].non_finite;
    }
  }
  return result;
}

}  // namespace

NormResult SumOfSquares(const float* values, int64_t numel) {
  return SumOfChunks(values, numel, HWY_DYNAMIC_DISPATCH(ChunkSumOfSquares));
}

NormResult SumOfSquaresBf16(const uint16_t* values, int64_t numel) {
  return SumOfChunks(values, numel, HWY_DYNAMIC_DISPATCH(ChunkSumOfSquaresBf16));
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
