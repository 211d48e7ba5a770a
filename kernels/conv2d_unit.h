// What one worker does at a time for conv2d.h, and in what order weights and images lie for it. Private to conv2d.
#ifndef STOWAGE_KERNELS_CONV2D_UNIT_H_
#define STOWAGE_KERNELS_CONV2D_UNIT_H_

#include <algorithm>
#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels::internal {

// What the chosen target offers.
struct ConvMachine {
  int64_t lanes = 1;              // fp32 elements of a vector
  int64_t max_vectors = 1;        // of result channels in a tile: 2 where there are 32 registers
  bool multiplies_pairs = false;  // of bf16, two products and two sums in fp32 at once
};
ConvMachine CurrentConvMachine();

// Scratch is made of words of 4 bytes: an fp32, or two bf16 that are multiplied at once.
//
// Source channels come in blocks: [block][row][column][words of a block], the last one filled up with zeros. Blocks of
// 1, 2 or 4 spare a first layer on grey or coloured images the arithmetic on zeros.
struct ConvSource {
  // `any_block`: false where pixels are two steps apart, which only whole blocks are compiled for.
  ConvSource(int64_t channels, bool pairs_of_channels, bool any_block)
      : channels(channels),
        block_channels(!any_block || channels > 4               ? 16
                       : channels > (pairs_of_channels ? 2 : 1) ? 4
                       : pairs_of_channels                      ? 2
                                                                : 1),
        block_words(pairs_of_channels ? block_channels / 2 : block_channels),
        blocks((channels + block_channels - 1) / block_channels) {}
  int64_t channels, block_channels, block_words, blocks;
};

// Result channels come in tiles of one or two vectors. An odd number of vectors is done one at a time: half a tile of
// zeros would cost more than the longer loops gain.
struct ConvResult {
  ConvResult(int64_t channels, const ConvMachine& machine)
      : channels(channels),
        vectors((channels + machine.lanes - 1) / machine.lanes % 2 == 0 ? machine.max_vectors : 1),
        tile_channels(vectors * machine.lanes),
        tiles((channels + tile_channels - 1) / tile_channels) {}
  int64_t channels, vectors, tile_channels, tiles;
};

// Most words of an image that lie in scratch at once, 192 KiB: with a tile's weights beside it that stays in a
// second-level cache of 512 KiB.
inline constexpr int64_t kConvBandWords = 48 << 10;

// One sweep over the pixels of an image's result: the whole of it forward, the pixels of one remainder of the stride
// for the input's gradient. Result (r, c) takes source pixels (row_origin + step * r + a, column_origin + step * c + b)
// for its taps a, b.
struct ConvPass {
  int64_t source_rows = 0, source_columns = 0;
  int64_t row_origin = 0, column_origin = 0;
  int64_t tap_rows = 0, tap_columns = 0;  // either may be 0: the result is 0
  int64_t step = 1;
  int64_t rows = 0, columns = 0;  // of the result
  // Where result (0, 0) lies in the result image, and how far apart others lie, in elements.
  int64_t result_offset = 0, result_row_stride = 0, result_pixel_stride = 0;

  int64_t padded_columns() const { return (columns - 1) * step + tap_columns; }
  int64_t row_words(const ConvSource& source) const { return padded_columns() * source.block_words; }
  // Result rows that are computed from one filling of the scratch.
  int64_t band_rows(const ConvSource& source) const {
    const int64_t fit = kConvBandWords / std::max<int64_t>(1, row_words(source) * source.blocks);
    return std::clamp<int64_t>((fit - tap_rows) / step + 1, 1, rows);
  }
  int64_t band_source_rows(int64_t band) const { return (band - 1) * step + tap_rows; }
  int64_t band_words(const ConvSource& source) const {
    return source.blocks * band_source_rows(band_rows(source)) * row_words(source);
  }
};

// Packed weights: [tile][block][tap row][tap column][word of a block][channel of the tile], with both channels of a
// pair beside each other.
struct ConvImageTask {
  ConvPass pass;
  ConvSource source;
  ConvResult result;
  bool pairs = false;
  DType dtype = DType::kFloat32;
  const void* packed = nullptr;
};

// `scratch`: pass.band_words().
void ConvImage(const ConvImageTask& task, const void* source, void* result, void* scratch);

// The weight's gradient. sums [tile][block][tap row][tap column * channel of a block][channel of the tile] fp32.
// Pairs are two neighbouring pixels of a row here, so a channel of a block is a word either way.
struct ConvGradientTask {
  ConvPass pass;  // the forward one
  ConvSource source;
  ConvResult result;
  bool pairs = false;
  DType dtype = DType::kFloat32;

  // Columns of the padded image: one more step where the last pair has but one pixel.
  int64_t padded_columns() const { return pass.padded_columns() + (pairs ? pass.step : 0); }
  int64_t row_words() const { return padded_columns() * source.block_words; }
  int64_t gradient_columns() const { return pairs ? (pass.columns + 1) / 2 : pass.columns; }
  int64_t band_rows() const {
    const int64_t row = row_words() * source.blocks * pass.step + gradient_columns() * result.tile_channels;
    return std::clamp<int64_t>(kConvBandWords / row, 1, pass.rows);
  }
  int64_t source_words() const { return source.blocks * pass.band_source_rows(band_rows()) * row_words(); }
  int64_t scratch_words() const { return source_words() + band_rows() * gradient_columns() * result.tile_channels; }
  int64_t tile_numel() const {
    return source.blocks * pass.tap_rows * pass.tap_columns * source.block_channels * result.tile_channels;
  }
};

// sums += one image's gradient, tiles [first_tile, last_tile). `scratch`: scratch_words().
void ConvImageGradient(const ConvGradientTask& task, int64_t first_tile, int64_t last_tile, const void* source,
                       const void* gradient, float* sums, void* scratch);

}  // namespace stowage::kernels::internal

#endif  // STOWAGE_KERNELS_CONV2D_UNIT_H_
