#include "kernels/conv2d_unit.h"

#include <cstring>

#include "kernels/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv2d_unit.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/conv2d_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels::HWY_NAMESPACE {

using internal::ConvGradientTask;
using internal::ConvImageTask;
using internal::ConvMachine;
using internal::ConvPass;
using internal::ConvSource;

namespace {

// What is copied of an image, and how: pixels (row + r, column + column_step * c) of `rows` x `columns`, channels from
// `channel` on, `block_channels` of them. What lies outside of the image or its channels is 0.
struct Window {
  int64_t image_rows, image_columns, image_channels;
  int64_t row, rows;
  int64_t column, columns, column_step;
  int64_t channel, block_channels;
};

// How a pixel's channels become words.
struct WidenFloat {
  using Element = float;
  using Word = float;
  HWY_INLINE void Whole(const float* from, int64_t, int64_t numel, float* to) const {
    for (int64_t i = 0; i < numel; i += kFloatLanes) StoreElements(LoadElements(from + i), to + i);
  }
  HWY_INLINE void Part(const float* from, int64_t, int64_t numel, float* to) const {
    for (int64_t i = 0; i < numel; ++i) to[i] = from[i];
  }
  static constexpr int64_t kChannels = 1;  // of a word
};
struct WidenBf16 {
  using Element = uint16_t;
  using Word = float;
  HWY_INLINE void Whole(const uint16_t* from, int64_t, int64_t numel, float* to) const {
    for (int64_t i = 0; i < numel; i += kFloatLanes) StoreElements(LoadElements(from + i), to + i);
  }
  HWY_INLINE void Part(const uint16_t* from, int64_t, int64_t numel, float* to) const {
    for (int64_t i = 0; i < numel; ++i) {
      const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
      std::memcpy(&to[i], &bits, sizeof(bits));
    }
  }
  static constexpr int64_t kChannels = 1;
};
// Two channels of one pixel a word.
struct ChannelPairs {
  using Element = uint16_t;
  using Word = uint32_t;
  HWY_INLINE void Whole(const uint16_t* from, int64_t, int64_t numel, uint32_t* to) const {
    std::memcpy(to, from, numel * sizeof(uint16_t));
  }
  HWY_INLINE void Part(const uint16_t* from, int64_t, int64_t numel, uint32_t* to) const {
    std::memcpy(to, from, numel * sizeof(uint16_t));
  }
  static constexpr int64_t kChannels = 2;
};
// One channel of two pixels a word: of the pixel itself, and of the one `next` elements on (0: there is none).
struct PixelPairs {
  using Element = uint16_t;
  using Word = uint32_t;
  HWY_INLINE void Whole(const uint16_t* from, int64_t next, int64_t numel, uint32_t* to) const {
    const hn::CappedTag<uint32_t, 16> d;
    const hn::Rebind<uint16_t, decltype(d)> half;
    for (int64_t i = 0; i < numel; i += hn::MaxLanes(d)) {
      const auto low = hn::PromoteTo(d, hn::LoadU(half, from + i));
      const auto high = next == 0 ? hn::Zero(d) : hn::PromoteTo(d, hn::LoadU(half, from + next + i));
      hn::StoreU(hn::Or(low, hn::ShiftLeft<16>(high)), d, to + i);
    }
  }
  HWY_INLINE void Part(const uint16_t* from, int64_t next, int64_t numel, uint32_t* to) const {
    for (int64_t i = 0; i < numel; ++i) to[i] = from[i] | (next == 0 ? 0u : uint32_t{from[next + i]} << 16);
  }
  static constexpr int64_t kChannels = 1;
};

// One pixel, or with PixelPairs two of which either may lie outside of the image.
template <class Form>
void CopyEdge(const Form& form, const Window& w, const typename Form::Element* row, int64_t column,
              int64_t pair_columns, int64_t channels, typename Form::Word* to) {
  const int64_t partner = column + pair_columns;
  const auto inside = [&](int64_t c) { return c >= 0 && c < w.image_columns; };
  std::memset(to, 0, w.block_channels / Form::kChannels * sizeof(*to));
  if (inside(column)) {
    const int64_t next = pair_columns > 0 && inside(partner) ? pair_columns * w.image_channels : 0;
    form.Part(row + column * w.image_channels, next, channels, to);
  } else if (pair_columns > 0 && inside(partner)) {
    form.Part(row + partner * w.image_channels, 0, channels, to);
    for (int64_t i = 0; i < channels; ++i) {
      uint32_t bits;
      std::memcpy(&bits, &to[i], sizeof(bits));
      bits <<= 16;
      std::memcpy(&to[i], &bits, sizeof(bits));
    }
  }
}

// to [rows][columns][words of a block]. `pair_columns`: how many columns on a pixel's partner lies (PixelPairs).
template <class Form>
void CopyWindow(const Form& form, const Window& w, const void* image, int64_t pair_columns, void* out) {
  using Word = typename Form::Word;
  const int64_t words = w.block_channels / Form::kChannels;
  const int64_t channels = std::min(w.block_channels, w.image_channels - w.channel);
  const bool whole = channels == w.block_channels && channels % kFloatLanes == 0;
  const int64_t step = w.column_step * w.image_channels, next = pair_columns * w.image_channels;
  // Columns [begin, end) lie in the image whole, their partners too.
  const int64_t begin = std::clamp<int64_t>((-w.column + w.column_step - 1) / w.column_step, 0, w.columns);
  const int64_t end = std::clamp<int64_t>(
      (w.image_columns - pair_columns - w.column + w.column_step - 1) / w.column_step, begin, w.columns);
  Word* to = static_cast<Word*>(out);
  for (int64_t r = 0; r < w.rows; ++r) {
    const int64_t row = w.row + r;
    if (row < 0 || row >= w.image_rows) {
      std::memset(to, 0, w.columns * words * sizeof(Word));
      to += w.columns * words;
      continue;
    }
    const auto* const from =
        static_cast<const typename Form::Element*>(image) + row * w.image_columns * w.image_channels + w.channel;
    const auto edge = [&](int64_t c) {
      CopyEdge(form, w, from, w.column + c * w.column_step, pair_columns, channels, to);
    };
    for (int64_t c = 0; c < begin; ++c, to += words) edge(c);
    const auto* pixel = from + (w.column + begin * w.column_step) * w.image_channels;
    if (whole && channels == 16) {
      for (int64_t c = begin; c < end; ++c, to += words, pixel += step) form.Whole(pixel, next, 16, to);
    } else if (whole) {
      for (int64_t c = begin; c < end; ++c, to += words, pixel += step) form.Whole(pixel, next, channels, to);
    } else {
      for (int64_t c = begin; c < end; ++c, to += words, pixel += step) {
        std::memset(to + channels / Form::kChannels, 0, (words - channels / Form::kChannels) * sizeof(Word));
        form.Part(pixel, next, channels, to);
      }
    }
    for (int64_t c = end; c < w.columns; ++c, to += words) edge(c);
  }
}

template <class Form>
void CopyBlocks(const Form& form, Window window, const ConvSource& source, const void* image, int64_t pair_columns,
                void* out) {
  window.block_channels = source.block_channels;
  for (int64_t block = 0; block < source.blocks; ++block) {
    window.channel = block * source.block_channels;
    CopyWindow(form, window, image, pair_columns,
               static_cast<uint32_t*>(out) + block * window.rows * window.columns * source.block_words);
  }
}

template <class Product>
void Image(const ConvImageTask& task, const void* source, void* result, void* scratch) {
  using Word = typename Product::Word;
  const ConvPass& pass = task.pass;
  const int64_t element_bytes = task.dtype == DType::kBFloat16 ? 2 : 4;
  const int64_t band = pass.band_rows(task.source), row_words = pass.row_words(task.source);
  // No taps: no block is read either.
  const int64_t blocks = pass.tap_rows == 0 || pass.tap_columns == 0 ? 0 : task.source.blocks;
  const int64_t tap_words = pass.tap_columns * task.source.block_words;
  const int64_t packed_words = blocks * pass.tap_rows * tap_words * task.result.tile_channels;
  const int64_t step_words = pass.step * task.source.block_words;
  for (int64_t first = 0; first < pass.rows; first += band) {
    const int64_t rows = std::min(band, pass.rows - first), source_rows = pass.band_source_rows(rows);
    const Window window = {pass.source_rows,
                           pass.source_columns,
                           task.source.channels,
                           pass.row_origin + first * pass.step,
                           source_rows,
                           pass.column_origin,
                           pass.padded_columns(),
                           1,
                           0,
                           0};
    if (blocks > 0) {
      if (Product::kPairs) {
        CopyBlocks(ChannelPairs(), window, task.source, source, 0, scratch);
      } else if (task.dtype == DType::kBFloat16) {
        CopyBlocks(WidenBf16(), window, task.source, source, 0, scratch);
      } else {
        CopyBlocks(WidenFloat(), window, task.source, source, 0, scratch);
      }
    }
    for (int64_t tile = 0; tile < task.result.tiles; ++tile) {
      const int64_t channel = tile * task.result.tile_channels;
      TileCall<Word> call = {};
      call.blocks = blocks;
      call.block_stride = source_rows * row_words;
      call.row_stride = row_words;
      call.tap_rows = pass.tap_rows;
      call.tap_words = tap_words;
      call.weights = static_cast<const Word*>(task.packed) + tile * packed_words;
      call.pixel_stride = pass.result_pixel_stride;
      call.channels = std::min(task.result.tile_channels, task.result.channels - channel);
      call.bf16 = task.dtype == DType::kBFloat16;
      for (int64_t row = 0; row < rows; ++row) {
        const Word* pixels = static_cast<const Word*>(scratch) + row * pass.step * row_words;
        char* out = static_cast<char*>(result) +
                    (pass.result_offset + (first + row) * pass.result_row_stride + channel) * element_bytes;
        ResultRow<Product>(task.result.vectors, step_words, pass.columns, pixels, out, element_bytes, call);
      }
    }
  }
}

template <class Product>
void ImageGradient(const ConvGradientTask& task, int64_t first_tile, int64_t last_tile, const void* source,
                   const void* gradient, float* sums, void* scratch) {
  using Word = typename Product::Word;
  const ConvPass& pass = task.pass;
  const int64_t band = task.band_rows(), row_words = task.row_words(), tile_channels = task.result.tile_channels;
  const int64_t tap_words = pass.tap_columns * task.source.block_channels;
  Word* const images = static_cast<Word*>(scratch);
  Word* const gradients = images + task.source_words();
  GradientCall<Word> call = {};
  call.pixels = task.gradient_columns();
  call.row_stride = pass.step * row_words;
  call.pixel_stride = pass.step * (Product::kPairs ? 2 : 1) * task.source.block_words;
  for (int64_t first = 0; first < pass.rows; first += band) {
    call.rows = std::min(band, pass.rows - first);
    const int64_t source_rows = pass.band_source_rows(call.rows);
    const Window window = {pass.source_rows,
                           pass.source_columns,
                           task.source.channels,
                           pass.row_origin + first * pass.step,
                           source_rows,
                           pass.column_origin,
                           task.padded_columns(),
                           1,
                           0,
                           0};
    if (Product::kPairs) {
      CopyBlocks(PixelPairs(), window, task.source, source, pass.step, images);
    } else if (task.dtype == DType::kBFloat16) {
      CopyBlocks(WidenBf16(), window, task.source, source, 0, images);
    } else {
      CopyBlocks(WidenFloat(), window, task.source, source, 0, images);
    }
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const Window part = {pass.rows,
                           pass.columns,
                           task.result.channels,
                           first,
                           call.rows,
                           0,
                           call.pixels,
                           Product::kPairs ? 2 : 1,
                           tile * tile_channels,
                           tile_channels};
      if (Product::kPairs) {
        CopyWindow(PixelPairs(), part, gradient, 1, gradients);
      } else if (task.dtype == DType::kBFloat16) {
        CopyWindow(WidenBf16(), part, gradient, 0, gradients);
      } else {
        CopyWindow(WidenFloat(), part, gradient, 0, gradients);
      }
      float* tile_sums = sums + tile * task.tile_numel();
      for (int64_t block = 0; block < task.source.blocks; ++block) {
        for (int64_t tap = 0; tap < pass.tap_rows; ++tap, tile_sums += tap_words * tile_channels) {
          SumTaps<Product>(task.result.vectors, tap_words, images + (block * source_rows + tap) * row_words, gradients,
                           tile_sums, call);
        }
      }
    }
  }
}

}  // namespace

ConvMachine Machine() {
  ConvMachine machine;
  machine.lanes = kFloatLanes;
  machine.max_vectors = kConvVectors;
  machine.multiplies_pairs = MultipliesPairs();
  return machine;
}

void RunImage(const ConvImageTask& task, const void* source, void* result, void* scratch) {
#if STOWAGE_CONV_PAIRS
  if (task.pairs) return Image<PairProduct>(task, source, result, scratch);
#endif
  Image<FloatProduct>(task, source, result, scratch);
}

void RunImageGradient(const ConvGradientTask& task, int64_t first_tile, int64_t last_tile, const void* source,
                      const void* gradient, float* sums, void* scratch) {
#if STOWAGE_CONV_PAIRS
  if (task.pairs) {
    return ImageGradient<PairProduct>(task, first_tile, last_tile, source, gradient, sums, scratch);
  }
#endif
  ImageGradient<FloatProduct>(task, first_tile, last_tile, source, gradient, sums, scratch);
}

}  // namespace stowage::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {
HWY_EXPORT(Machine);
HWY_EXPORT(RunImage);
HWY_EXPORT(RunImageGradient);
}  // namespace

namespace internal {

ConvMachine CurrentConvMachine() { return HWY_DYNAMIC_DISPATCH(Machine)(); }

void ConvImage(const ConvImageTask& task, const void* source, void* result, void* scratch) {
  HWY_DYNAMIC_DISPATCH(RunImage)(task, source, result, scratch);
}

void ConvImageGradient(const ConvGradientTask& task, int64_t first_tile, int64_t last_tile, const void* source,
                       const void* gradient, float* sums, void* scratch) {
  HWY_DYNAMIC_DISPATCH(RunImageGradient)(task, first_tile, last_tile, source, gradient, sums, scratch);
}

}  // namespace internal
}  // namespace stowage::kernels
#endif  // HWY_ONCE
