// Products of tiles for convolutions. Included once per target.
//
// A tile of the result, some pixels by one or two vectors of channels, is summed in registers: one loaded vector of
// weights serves all pixels, one broadcast word of a pixel both vectors. 14 pixels by 2 vectors, 2 vectors of weights
// and a broadcast fit 32 registers, 14 by 1 fit 16. 14 and 7 are what images of 28, 56, 112 and 224 pixels and their
// halves are made of; at 7 by 1 alone the sums are too few to cover a multiply-add's latency of 4 cycles at 2 a cycle.
//
// The pixels' distance is a template's parameter, so that an address needs no register of its own: 14 of them would
// leave the general registers.
#if defined(STOWAGE_KERNELS_CONV2D_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_CONV2D_TILE_INL_H_
#undef STOWAGE_KERNELS_CONV2D_TILE_INL_H_
#else
#define STOWAGE_KERNELS_CONV2D_TILE_INL_H_
#endif

#include <cstdint>

#include "base/check.h"
#include "hwy/highway.h"
#include "kernels/element-inl.h"

#undef STOWAGE_CONV_PAIRS
#if HWY_TARGET == HWY_AVX3 && defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define STOWAGE_CONV_PAIRS 1
#else
#define STOWAGE_CONV_PAIRS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kConvVectors = 2;
#else
constexpr int kConvVectors = 1;
#endif

// How words are multiplied: sum + word * weights, in fp32.
struct FloatProduct {
  using Word = float;
  using Words = FloatVector;
  static constexpr bool kPairs = false;
  static HWY_INLINE Words Load(const float* from) { return hn::LoadU(Float(), from); }
  static HWY_INLINE Words Broadcast(float word) { return hn::Set(Float(), word); }
  static HWY_INLINE FloatVector MulAdd(Words word, Words weights, FloatVector sum) {
    return hn::MulAdd(word, weights, sum);
  }
};

#if STOWAGE_CONV_PAIRS
HWY_INLINE bool MultipliesPairs() { return __builtin_cpu_supports("avx512bf16") != 0; }

// The instruction by name: this Highway knows no target that has it, and its AVX3 is compiled without.
struct PairProduct {
  using Word = uint32_t;
  using Words = hn::Vec<hn::ScalableTag<uint32_t>>;
  static constexpr bool kPairs = true;
  static HWY_INLINE Words Load(const uint32_t* from) { return hn::LoadU(hn::ScalableTag<uint32_t>(), from); }
  static HWY_INLINE Words Broadcast(uint32_t word) { return hn::Set(hn::ScalableTag<uint32_t>(), word); }
  static HWY_INLINE FloatVector MulAdd(Words word, Words weights, FloatVector sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(weights.raw), "v"(word.raw));
    return sum;
  }
};
#else
HWY_INLINE bool MultipliesPairs() { return false; }
#endif

// What the tiles of a row have in common.
template <class Word>
struct TileCall {
  int64_t blocks, block_stride;  // of source channels
  int64_t tap_rows, row_stride;
  int64_t tap_words;     // of one row of taps, one after the other
  const Word* weights;   // in the order in which they are used
  int64_t pixel_stride;  // of results, in elements
  int64_t channels;      // of the tile that are stored
  bool bf16;
};

template <int kPixels, int kVectors, class T>
HWY_INLINE void StoreTile(const FloatVector (&sum)[kPixels][kVectors], int64_t pixel_stride, int64_t channels, T* out) {
#pragma GCC unroll 16
  for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      T* to = out + i * pixel_stride + v * kFloatLanes;
      const int64_t left = channels - v * kFloatLanes;
      if (HWY_LIKELY(left >= kFloatLanes)) {
        StoreElements(sum[i][v], to);
      } else if (left > 0) {
        StorePart(sum[i][v], to, left);
      }
    }
  }
}

// kStep: words from a pixel to the next.
template <class Product, int kStep, int kVectors, int kPixels>
HWY_NOINLINE void Tile(const TileCall<typename Product::Word>& call, const typename Product::Word* pixels, void* out) {
  using Word = typename Product::Word;
  FloatVector sum[kPixels][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(Float());
  }
  const Word* HWY_RESTRICT weights = call.weights;
  for (int64_t block = 0; block < call.blocks; ++block) {
    for (int64_t tap = 0; tap < call.tap_rows; ++tap) {
      const Word* HWY_RESTRICT a = pixels + block * call.block_stride + tap * call.row_stride;
      for (const Word* const end = a + call.tap_words; a < end; ++a) {
        typename Product::Words b[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) b[v] = Product::Load(weights + v * kFloatLanes);
        weights += kVectors * kFloatLanes;
#pragma GCC unroll 16
        for (int i = 0; i < kPixels; ++i) {
          const auto word = Product::Broadcast(a[i * kStep]);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) sum[i][v] = Product::MulAdd(word, b[v], sum[i][v]);
        }
      }
    }
  }
  if (call.bf16) {
    StoreTile(sum, call.pixel_stride, call.channels, static_cast<uint16_t*>(out));
  } else {
    StoreTile(sum, call.pixel_stride, call.channels, static_cast<float*>(out));
  }
}

template <class Product, int kStep, int kVectors>
void RowOfTiles(int64_t columns, const typename Product::Word* pixels, char* out, int64_t element_bytes,
                const TileCall<typename Product::Word>& call) {
  const int64_t out_step = call.pixel_stride * element_bytes;
  for (int64_t c = 0; c < columns;) {
    const int64_t left = columns - c;
    const auto* a = pixels + c * kStep;
    char* to = out + c * out_step;
    if (left >= 14) {
      Tile<Product, kStep, kVectors, 14>(call, a, to);
      c += 14;
    } else if (left >= 7) {
      Tile<Product, kStep, kVectors, 7>(call, a, to);
      c += 7;
    } else if (left >= 4) {
      Tile<Product, kStep, kVectors, 4>(call, a, to);
      c += 4;
    } else {
      Tile<Product, kStep, kVectors, 1>(call, a, to);
      c += 1;
    }
  }
}

template <class Product, int kStep>
HWY_INLINE void RowOfVectors(int64_t vectors, int64_t columns, const typename Product::Word* pixels, char* out,
                             int64_t element_bytes, const TileCall<typename Product::Word>& call) {
  if (vectors == 1) {
    RowOfTiles<Product, kStep, 1>(columns, pixels, out, element_bytes, call);
  } else {
    RowOfTiles<Product, kStep, kConvVectors>(columns, pixels, out, element_bytes, call);
  }
}

// One row of results: `columns` pixels of `vectors` vectors of channels. `step_words`: what ConvSource's blocks give,
// times a stride of 2 for whole blocks.
template <class Product>
void ResultRow(int64_t vectors, int64_t step_words, int64_t columns, const typename Product::Word* pixels, char* out,
               int64_t element_bytes, const TileCall<typename Product::Word>& call) {
  constexpr int kBlock = Product::kPairs ? 8 : 16, kSmall = Product::kPairs ? 2 : 4;
  switch (step_words) {
    case 1:
      return RowOfVectors<Product, 1>(vectors, columns, pixels, out, element_bytes, call);
    case kSmall:
      return RowOfVectors<Product, kSmall>(vectors, columns, pixels, out, element_bytes, call);
    case kBlock:
      return RowOfVectors<Product, kBlock>(vectors, columns, pixels, out, element_bytes, call);
    case 2 * kBlock:
      return RowOfVectors<Product, 2 * kBlock>(vectors, columns, pixels, out, element_bytes, call);
    default:
      STOWAGE_CHECK(false) << "pixels " << step_words << " words apart";
  }
}

template <class Word>
struct GradientCall {
  int64_t rows, pixels;              // of the result's gradient, pairs of pixels being one
  int64_t row_stride, pixel_stride;  // of the source, in words
};

// sums [kTaps, kVectors * lanes] += over all pixels of source word (tap) times the gradient's channels.
template <class Product, int kVectors, int kTaps>
HWY_NOINLINE void GradientTile(const GradientCall<typename Product::Word>& call,
                               const typename Product::Word* HWY_RESTRICT source,
                               const typename Product::Word* HWY_RESTRICT gradient, float* HWY_RESTRICT sums) {
  using Word = typename Product::Word;
  FloatVector sum[kTaps][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kTaps; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::LoadU(Float(), sums + (i * kVectors + v) * kFloatLanes);
  }
  for (int64_t row = 0; row < call.rows; ++row) {
    const Word* HWY_RESTRICT a = source + row * call.row_stride;
    for (int64_t pixel = 0; pixel < call.pixels; ++pixel, a += call.pixel_stride) {
      typename Product::Words b[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) b[v] = Product::Load(gradient + v * kFloatLanes);
      gradient += kVectors * kFloatLanes;
#pragma GCC unroll 16
      for (int i = 0; i < kTaps; ++i) {
        const auto word = Product::Broadcast(a[i]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[i][v] = Product::MulAdd(word, b[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kTaps; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[i][v], Float(), sums + (i * kVectors + v) * kFloatLanes);
  }
}

template <class Product, int kVectors>
HWY_INLINE void SumTapsOf(int64_t taps, const typename Product::Word* source, const typename Product::Word* gradient,
                          float* sums, const GradientCall<typename Product::Word>& call) {
  constexpr int64_t kTileChannels = kVectors * kFloatLanes;
  for (int64_t tap = 0; tap < taps;) {
    const int64_t left = taps - tap;
    float* to = sums + tap * kTileChannels;
    if (left >= 12) {
      GradientTile<Product, kVectors, 12>(call, source + tap, gradient, to);
      tap += 12;
    } else if (left >= 4) {
      GradientTile<Product, kVectors, 4>(call, source + tap, gradient, to);
      tap += 4;
    } else if (left == 3) {
      GradientTile<Product, kVectors, 3>(call, source + tap, gradient, to);
      tap += 3;
    } else {
      GradientTile<Product, kVectors, 1>(call, source + tap, gradient, to);
      tap += 1;
    }
  }
}

// `taps` words of a row of taps: 12 at a time, which 3 columns of 16, of 4 and 12 of 1 channels are multiples of.
template <class Product>
void SumTaps(int64_t vectors, int64_t taps, const typename Product::Word* source,
             const typename Product::Word* gradient, float* sums, const GradientCall<typename Product::Word>& call) {
  if (vectors == 1) {
    SumTapsOf<Product, 1>(taps, source, gradient, sums, call);
  } else {
    SumTapsOf<Product, kConvVectors>(taps, source, gradient, sums, call);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
