#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_norm.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/element-inl.h"

#ifndef STOWAGE_KERNELS_GROUP_NORM_CC_ONCE_
#define STOWAGE_KERNELS_GROUP_NORM_CC_ONCE_
namespace stowage::kernels::internal {

constexpr int64_t kBlock = 16;  // channels of a mask's word

// Numbers per channel, each [padded channels]: what a sample's statistics come to.
struct ChannelRows {
  ChannelRows(float* base, int64_t channels)
      : padded((channels + kBlock - 1) / kBlock * kBlock),
        first(base),
        second(base + padded),
        mean(base + 2 * padded),
        a(base + 3 * padded),
        b(base + 4 * padded),
        c(base + 5 * padded) {}
  static int64_t Numel(int64_t channels) { return 6 * ((channels + kBlock - 1) / kBlock * kBlock); }
  int64_t padded;
  float *first, *second;  // sums over the pixels
  float *mean, *a, *b, *c;
};

struct NormSample {
  int64_t pixels, channels, groups;
  const float *weight, *bias;
  float* mean;
  float* rstd;  // [groups]
};

}  // namespace stowage::kernels::internal
#endif  // STOWAGE_KERNELS_GROUP_NORM_CC_ONCE_

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using internal::ChannelRows;
using internal::kBlock;
using internal::NormSample;

namespace {

constexpr int64_t kVectors = kBlock / kFloatLanes;
// Pixels that are summed side by side, so that an addition need not wait for the one before.
constexpr int64_t kChains = kVectors == 1 ? 4 : 2;

// 16 channels of a pixel; of the last block, `count` and zeros.
struct Block {
  FloatVector v[kVectors];
};

template <typename T>
HWY_INLINE Block LoadBlock(const T* from, int64_t count) {
  Block block;
  alignas(64) T padded[kBlock];
  if (HWY_UNLIKELY(count < kBlock)) {
    std::memset(padded, 0, sizeof(padded));
    std::memcpy(padded, from, count * sizeof(T));
    from = padded;
  }
  for (int64_t j = 0; j < kVectors; ++j) block.v[j] = LoadElements(from + j * kFloatLanes);
  return block;
}

template <typename T>
HWY_INLINE void StoreBlock(const Block& block, T* to, int64_t count) {
  if (HWY_LIKELY(count >= kBlock)) {
    for (int64_t j = 0; j < kVectors; ++j) StoreElements(block.v[j], to + j * kFloatLanes);
    return;
  }
  alignas(64) T padded[kBlock];
  for (int64_t j = 0; j < kVectors; ++j) StoreElements(block.v[j], padded + j * kFloatLanes);
  std::memcpy(to, padded, count * sizeof(T));
}

HWY_INLINE Block Zeros() {
  Block block;
  for (int64_t j = 0; j < kVectors; ++j) block.v[j] = hn::Zero(Float());
  return block;
}

// The block where the bits are set, else 0.
HWY_INLINE Block Masked(const Block& block, uint16_t bits) {
  Block result;
  for (int64_t j = 0; j < kVectors; ++j) {
    const uint64_t word = bits >> (j * kFloatLanes);
    uint8_t part[8];
    std::memcpy(part, &word, sizeof(word));
    result.v[j] = hn::IfThenElseZero(hn::LoadMaskBits(Float(), part), block.v[j]);
  }
  return result;
}

// ReLU: what is above 0 or NaN passes.
HWY_INLINE uint16_t Relu(Block* block) {
  uint64_t bits = 0;
  for (int64_t j = 0; j < kVectors; ++j) {
    const auto passes = hn::Not(hn::Le(block->v[j], hn::Zero(Float())));
    block->v[j] = hn::IfThenElseZero(passes, block->v[j]);
    uint8_t part[8] = {};
    hn::StoreMaskBits(Float(), passes, part);
    uint64_t word;
    std::memcpy(&word, part, sizeof(word));
    bits |= word << (j * kFloatLanes);
  }
  return static_cast<uint16_t>(bits);
}

// sums[i][channel] = the sum over the pixels of body(pixel, sums), in kChains chains.
template <int kSums, class Body>
HWY_INLINE void SumPixels(int64_t pixels, float* const (&to)[kSums], const Body& body) {
  Block sums[kChains][kSums];
  for (int64_t chain = 0; chain < kChains; ++chain) {
    for (int i = 0; i < kSums; ++i) sums[chain][i] = Zeros();
  }
  int64_t p = 0;
  for (; p + kChains <= pixels; p += kChains) {
#pragma GCC unroll 4
    for (int64_t chain = 0; chain < kChains; ++chain) body(p + chain, sums[chain]);
  }
  for (; p < pixels; ++p) body(p, sums[0]);
  for (int i = 0; i < kSums; ++i) {
    for (int64_t chain = 1; chain < kChains; ++chain) {
      for (int64_t j = 0; j < kVectors; ++j) {
        sums[0][i].v[j] = hn::Add(sums[0][i].v[j], sums[chain][i].v[j]);
      }
    }
    StoreBlock(sums[0][i], to[i], kBlock);
  }
}

// body(first channel, count) for each block.
template <class Body>
HWY_INLINE void ForEachBlock(int64_t channels, const Body& body) {
  for (int64_t c = 0; c < channels; c += kBlock) body(c, std::min(kBlock, channels - c));
}

template <typename T>
void Forward(const NormSample& s, const T* x, float eps, const T* residual, bool relu, uint16_t* mask, T* y,
             const ChannelRows& rows) {
  const int64_t width = s.channels / s.groups;
  const double numel = static_cast<double>(s.pixels * width);
  ForEachBlock(s.channels, [&](int64_t c, int64_t count) {
    SumPixels<1>(s.pixels, {rows.first + c}, [&](int64_t p, Block* sums) HWY_ATTR {
      const Block block = LoadBlock(x + p * s.channels + c, count);
      for (int64_t j = 0; j < kVectors; ++j) sums[0].v[j] = hn::Add(sums[0].v[j], block.v[j]);
    });
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    double sum = 0.0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += rows.first[c];
    s.mean[g] = static_cast<float>(sum / numel);
    for (int64_t c = g * width; c < (g + 1) * width; ++c) rows.mean[c] = s.mean[g];
  }
  std::fill(rows.mean + s.channels, rows.mean + rows.padded, 0.0f);
  ForEachBlock(s.channels, [&](int64_t c, int64_t count) {
    const Block mean = LoadBlock(rows.mean + c, kBlock);
    SumPixels<1>(s.pixels, {rows.second + c}, [&](int64_t p, Block* sums) HWY_ATTR {
      const Block block = LoadBlock(x + p * s.channels + c, count);
      for (int64_t j = 0; j < kVectors; ++j) {
        const auto centred = hn::Sub(block.v[j], mean.v[j]);
        sums[0].v[j] = hn::MulAdd(centred, centred, sums[0].v[j]);
      }
    });
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    double sum = 0.0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += rows.second[c];
    s.rstd[g] = static_cast<float>(1.0 / std::sqrt(sum / numel + eps));
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      rows.a[c] = s.rstd[g] * s.weight[c];
      rows.b[c] = s.bias[c];
    }
  }
  std::fill(rows.a + s.channels, rows.a + rows.padded, 0.0f);
  std::fill(rows.b + s.channels, rows.b + rows.padded, 0.0f);
  for (int64_t p = 0; p < s.pixels; ++p) {
    ForEachBlock(s.channels, [&](int64_t c, int64_t count) HWY_ATTR {
      const int64_t i = p * s.channels + c;
      Block block = LoadBlock(x + i, count);
      const Block mean = LoadBlock(rows.mean + c, kBlock), a = LoadBlock(rows.a + c, kBlock),
                  b = LoadBlock(rows.b + c, kBlock);
      for (int64_t j = 0; j < kVectors; ++j) {
        block.v[j] = hn::MulAdd(hn::Sub(block.v[j], mean.v[j]), a.v[j], b.v[j]);
      }
      if (residual != nullptr) {
        const Block added = LoadBlock(residual + i, count);
        for (int64_t j = 0; j < kVectors; ++j) block.v[j] = hn::Add(block.v[j], added.v[j]);
      }
      if (relu) {
        const uint16_t bits = Relu(&block);
        if (mask != nullptr) mask[p * (rows.padded / kBlock) + c / kBlock] = bits;
      }
      StoreBlock(block, y + i, count);
    });
  }
}

// weight_sum and bias_sum [channels] are added to.
template <typename T>
void Backward(const NormSample& s, const T* dy, const T* x, const uint16_t* mask, T* dx, T* dresidual,
              float* weight_sum, float* bias_sum, const ChannelRows& rows) {
  const int64_t width = s.channels / s.groups, words = rows.padded / kBlock;
  for (int64_t c = 0; c < s.channels; ++c) rows.mean[c] = s.mean[c / width];
  std::fill(rows.mean + s.channels, rows.mean + rows.padded, 0.0f);
  const auto gradient = [&](int64_t p, int64_t c, int64_t count) HWY_ATTR {
    const Block block = LoadBlock(dy + p * s.channels + c, count);
    return mask == nullptr ? block : Masked(block, mask[p * words + c / kBlock]);
  };
  ForEachBlock(s.channels, [&](int64_t c, int64_t count) {
    const Block mean = LoadBlock(rows.mean + c, kBlock);
    SumPixels<2>(s.pixels, {rows.first + c, rows.second + c}, [&](int64_t p, Block* sums) HWY_ATTR {
      const Block g = gradient(p, c, count), value = LoadBlock(x + p * s.channels + c, count);
      for (int64_t j = 0; j < kVectors; ++j) {
        sums[0].v[j] = hn::Add(sums[0].v[j], g.v[j]);
        sums[1].v[j] = hn::MulAdd(g.v[j], hn::Sub(value.v[j], mean.v[j]), sums[1].v[j]);
      }
    });
  });
  const double numel = static_cast<double>(s.pixels * width);
  for (int64_t g = 0; g < s.groups; ++g) {
    double sum = 0.0, product = 0.0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      rows.second[c] *= s.rstd[g];
      sum += static_cast<double>(rows.first[c]) * s.weight[c];
      product += static_cast<double>(rows.second[c]) * s.weight[c];
      bias_sum[c] += rows.first[c];
      weight_sum[c] += rows.second[c];
    }
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      rows.a[c] = s.rstd[g] * s.weight[c];
      rows.b[c] = static_cast<float>(-s.rstd[g] * s.rstd[g] * product / numel);
      rows.c[c] = static_cast<float>(-s.rstd[g] * sum / numel);
    }
  }
  for (float* row : {rows.a, rows.b, rows.c}) std::fill(row + s.channels, row + rows.padded, 0.0f);
  for (int64_t p = 0; p < s.pixels; ++p) {
    ForEachBlock(s.channels, [&](int64_t c, int64_t count) HWY_ATTR {
      const int64_t i = p * s.channels + c;
      const Block g = gradient(p, c, count);
      Block value = LoadBlock(x + i, count);
      const Block mean = LoadBlock(rows.mean + c, kBlock), a = LoadBlock(rows.a + c, kBlock),
                  b = LoadBlock(rows.b + c, kBlock), constant = LoadBlock(rows.c + c, kBlock);
      for (int64_t j = 0; j < kVectors; ++j) {
        const auto centred = hn::Sub(value.v[j], mean.v[j]);
        value.v[j] = hn::MulAdd(g.v[j], a.v[j], hn::MulAdd(centred, b.v[j], constant.v[j]));
      }
      if (dresidual != nullptr) StoreBlock(g, dresidual + i, count);
      StoreBlock(value, dx + i, count);
    });
  }
}

}  // namespace

void ForwardSample(DType dtype, const NormSample& s, const void* x, float eps, const void* residual, bool relu,
                   uint16_t* mask, void* y, float* scratch) {
  const ChannelRows rows(scratch, s.channels);
  if (dtype == DType::kBFloat16) {
    Forward(s, static_cast<const uint16_t*>(x), eps, static_cast<const uint16_t*>(residual), relu, mask,
            static_cast<uint16_t*>(y), rows);
  } else {
    Forward(s, static_cast<const float*>(x), eps, static_cast<const float*>(residual), relu, mask,
            static_cast<float*>(y), rows);
  }
}

void BackwardSample(DType dtype, const NormSample& s, const void* dy, const void* x, const uint16_t* mask, void* dx,
                    void* dresidual, float* weight_sum, float* bias_sum, float* scratch) {
  const ChannelRows rows(scratch, s.channels);
  if (dtype == DType::kBFloat16) {
    Backward(s, static_cast<const uint16_t*>(dy), static_cast<const uint16_t*>(x), mask, static_cast<uint16_t*>(dx),
             static_cast<uint16_t*>(dresidual), weight_sum, bias_sum, rows);
  } else {
    Backward(s, static_cast<const float*>(dy), static_cast<const float*>(x), mask, static_cast<float*>(dx),
             static_cast<float*>(dresidual), weight_sum, bias_sum, rows);
  }
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"

namespace stowage::kernels {
namespace {

HWY_EXPORT(ForwardSample);
HWY_EXPORT(BackwardSample);

// Gradients of weights are summed over this many parts of the samples at the most, and then the parts in order.
constexpr int64_t kParts = 64;

void Check(DType dtype, const GroupNormShape& s) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "group norm of " << DTypeName(dtype);
  STOWAGE_CHECK(s.samples >= 0 && s.pixels > 0 && s.channels > 0 && s.groups > 0 && s.channels % s.groups == 0)
      << s.samples << " samples of " << s.pixels << " pixels of " << s.channels << " channels in " << s.groups
      << " groups";
}

// Where sample n's elements begin.
template <class Void>
Void* At(Void* base, DType dtype, const GroupNormShape& s, int64_t n) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const char, char>;
  return base == nullptr ? nullptr : static_cast<Byte*>(base) + n * s.pixels * s.channels * DTypeBytes(dtype);
}

template <class Word>
Word* MaskAt(Word* mask, const GroupNormShape& s, int64_t n) {
  return mask == nullptr ? nullptr : mask + n * (GroupNormMaskNumel(s) / s.samples);
}

void SumParts(const float* parts, int64_t count, int64_t stride, int64_t channels, const NormGradient& gradient) {
  if (gradient.to == nullptr) return;
  for (int64_t c = 0; c < channels; ++c) {
    float sum = 0.0f;
    for (int64_t part = 0; part < count; ++part) sum += parts[part * stride + c];
    gradient.to[c] = gradient.accumulate ? gradient.to[c] + sum : sum;
  }
}

}  // namespace

void GroupNorm(DType dtype, const GroupNormShape& s, const void* x, const float* weight, const float* bias, float eps,
               const void* residual, const GroupNormRelu& relu, void* y, float* mean, float* rstd) {
  Check(dtype, s);
  const int64_t workers = std::min(s.samples, ParallelThreads());
  const int64_t numel = internal::ChannelRows::Numel(s.channels);
  const Scratch scratch(workers * numel * sizeof(float));
  if (Dry()) return;
  ParallelFor(workers, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t n = s.samples * worker / workers; n < s.samples * (worker + 1) / workers; ++n) {
        const internal::NormSample sample = {s.pixels, s.channels,          s.groups,           weight,
                                             bias,     mean + n * s.groups, rstd + n * s.groups};
        HWY_DYNAMIC_DISPATCH(ForwardSample)
        (dtype, sample, At(x, dtype, s, n), eps, At(residual, dtype, s, n), relu.apply, MaskAt(relu.mask, s, n),
         At(y, dtype, s, n), static_cast<float*>(scratch.data()) + worker * numel);
      }
    }
  });
}

void GroupNormBackward(DType dtype, const GroupNormShape& s, const void* dy, const void* x, const float* weight,
                       const float* mean, const float* rstd, const uint16_t* mask, void* dx, void* dresidual,
                       NormGradient weight_gradient, NormGradient bias_gradient) {
  Check(dtype, s);
  const int64_t parts = std::min(s.samples, kParts), workers = std::min(parts, ParallelThreads());
  const int64_t numel = internal::ChannelRows::Numel(s.channels);
  const Scratch scratch(workers * numel * sizeof(float)), sums_block(parts * 2 * s.channels * sizeof(float));
  if (Dry()) return;
  float* const sums = static_cast<float*>(sums_block.data());
  ParallelFor(workers, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t part = parts * worker / workers; part < parts * (worker + 1) / workers; ++part) {
        float* const part_sums = sums + part * 2 * s.channels;
        std::fill(part_sums, part_sums + 2 * s.channels, 0.0f);
        for (int64_t n = s.samples * part / parts; n < s.samples * (part + 1) / parts; ++n) {
          // Backward only reads the statistics.
          const internal::NormSample sample = {s.pixels,
                                               s.channels,
                                               s.groups,
                                               weight,
                                               nullptr,
                                               const_cast<float*>(mean) + n * s.groups,
                                               const_cast<float*>(rstd) + n * s.groups};
          HWY_DYNAMIC_DISPATCH(BackwardSample)
          (dtype, sample, At(dy, dtype, s, n), At(x, dtype, s, n), MaskAt(mask, s, n), At(dx, dtype, s, n),
           At(dresidual, dtype, s, n), part_sums, part_sums + s.channels,
           static_cast<float*>(scratch.data()) + worker * numel);
        }
      }
    }
  });
  SumParts(sums, parts, 2 * s.channels, s.channels, weight_gradient);
  SumParts(sums + s.channels, parts, 2 * s.channels, s.channels, bias_gradient);
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
