#include "kernels/relu.h"

#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/relu.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

// What is loaded and stored of an element: signed words of its size, so that a gradient passes bit for bit.
// (Guarded: this file is included once per target.)
#ifndef STOWAGE_KERNELS_RELU_CC_FORMAT_
#define STOWAGE_KERNELS_RELU_CC_FORMAT_
namespace stowage::kernels {

template <typename Word>
struct ReluFormat;
template <>
struct ReluFormat<int32_t> {
  static constexpr int32_t kMinusInfinity = static_cast<int32_t>(0xff800000u);
};
template <>
struct ReluFormat<int16_t> {
  static constexpr int16_t kMinusInfinity = static_cast<int16_t>(0xff80u);
};

}  // namespace stowage::kernels
#endif  // STOWAGE_KERNELS_RELU_CC_FORMAT_

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

// A block has 8 bytes of mask, and fills whole vectors of either word on every target.
constexpr int64_t kBlockNumel = 64;

// A float's bits as a signed word are positive exactly for what is above 0 and for NaN without a sign; NaN with one
// lies above minus infinity among the negative words.
template <typename Word>
HWY_INLINE void ForwardBlock(const Word* x, Word* y, uint8_t* mask) {
  const hn::CappedTag<Word, kBlockNumel> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const auto zero = hn::Zero(d), infinity = hn::Set(d, ReluFormat<Word>::kMinusInfinity);
  uint64_t bits = 0;
  for (int64_t j = 0; j < kBlockNumel; j += kLanes) {
    const auto v = hn::LoadU(d, x + j);
    const auto passes = hn::Or(hn::Gt(v, zero), hn::And(hn::Lt(v, zero), hn::Gt(v, infinity)));
    hn::StoreU(hn::IfThenElseZero(passes, v), d, y + j);
    uint8_t part[8] = {};
    hn::StoreMaskBits(d, passes, part);
    uint64_t word;
    std::memcpy(&word, part, sizeof(word));
    bits |= word << j;
  }
  std::memcpy(mask, &bits, sizeof(bits));
}

template <typename Word>
HWY_INLINE void BackwardBlock(const uint8_t* mask, const Word* dy, Word* dx) {
  const hn::CappedTag<Word, kBlockNumel> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  uint64_t bits;
  std::memcpy(&bits, mask, sizeof(bits));
  for (int64_t j = 0; j < kBlockNumel; j += kLanes) {
    const uint64_t word = bits >> j;
    uint8_t part[8];
    std::memcpy(part, &word, sizeof(word));
    const auto passes = hn::LoadMaskBits(d, part);
    hn::StoreU(hn::IfThenElseZero(passes, hn::LoadU(d, dy + j)), d, dx + j);
  }
}

// [begin, end), begin a multiple of kBlockNumel.
template <typename Word>
void Forward(const Word* x, Word* y, uint8_t* mask, int64_t begin, int64_t end) {
  uint8_t unused[kBlockNumel / 8];
  int64_t i = begin;
  for (; i + kBlockNumel <= end; i += kBlockNumel) ForwardBlock(x + i, y + i, mask == nullptr ? unused : mask + i / 8);
  if (i == end) return;
  Word padded[kBlockNumel] = {};
  std::memcpy(padded, x + i, (end - i) * sizeof(Word));
  ForwardBlock(padded, padded, unused);
  std::memcpy(y + i, padded, (end - i) * sizeof(Word));
  if (mask != nullptr) std::memcpy(mask + i / 8, unused, ReluMaskBytes(end - i));
}

template <typename Word>
void Backward(const uint8_t* mask, const Word* dy, Word* dx, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kBlockNumel <= end; i += kBlockNumel) BackwardBlock(mask + i / 8, dy + i, dx + i);
  if (i == end) return;
  Word padded[kBlockNumel] = {};
  uint8_t bits[kBlockNumel / 8] = {};
  std::memcpy(padded, dy + i, (end - i) * sizeof(Word));
  std::memcpy(bits, mask + i / 8, ReluMaskBytes(end - i));
  BackwardBlock(bits, padded, padded);
  std::memcpy(dx + i, padded, (end - i) * sizeof(Word));
}

}  // namespace

void ReluRange(DType dtype, const void* x, void* y, uint8_t* mask, int64_t begin, int64_t end) {
  if (dtype == DType::kBFloat16) {
    Forward(static_cast<const int16_t*>(x), static_cast<int16_t*>(y), mask, begin, end);
  } else {
    Forward(static_cast<const int32_t*>(x), static_cast<int32_t*>(y), mask, begin, end);
  }
}

void ReluBackwardRange(DType dtype, const uint8_t* mask, const void* dy, void* dx, int64_t begin, int64_t end) {
  if (dtype == DType::kBFloat16) {
    Backward(mask, static_cast<const int16_t*>(dy), static_cast<int16_t*>(dx), begin, end);
  } else {
    Backward(mask, static_cast<const int32_t*>(dy), static_cast<int32_t*>(dx), begin, end);
  }
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(ReluRange);
HWY_EXPORT(ReluBackwardRange);

// Memory-bound: 16,384 elements are 130 KB of traffic, some 10 us, below which waking a thread does not pay.
constexpr int64_t kGrainNumel = 16384;
// Threads meet at a cache line of the mask too.
constexpr int64_t kCacheLineNumel = 512;

void CheckDType(DType dtype) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "ReLU of " << DTypeName(dtype);
}

}  // namespace

void Relu(DType dtype, const void* x, int64_t numel, void* y, uint8_t* mask) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ReluRange)(dtype, x, y, mask, begin, end);
  });
}

void ReluBackward(DType dtype, const uint8_t* mask, const void* dy, int64_t numel, void* dx) {
  CheckDType(dtype);
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ReluBackwardRange)(dtype, mask, dy, dx, begin, end);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
