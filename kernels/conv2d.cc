#include "kernels/conv2d.h"

#include <cstring>
#include <vector>

#include "base/check.h"
#include "kernels/bf16.h"
#include "kernels/conv2d_unit.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"

namespace stowage::kernels {
namespace {

using internal::ConvGradientTask;
using internal::ConvImageTask;
using internal::ConvMachine;
using internal::ConvPass;
using internal::ConvResult;
using internal::ConvSource;

constexpr int64_t kWordBytes = 4;

// The weight's gradient is summed over this many parts of the samples at the most, and then the parts in order: enough
// for the cores of a host, few enough that adding them up does not show. Fewer where they would take more bytes.
constexpr int64_t kGradientParts = 16;
constexpr int64_t kGradientPartsBytes = int64_t{16} << 20;

void Check(DType dtype, const Conv2dShape& s) {
  STOWAGE_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16) << "convolution of " << DTypeName(dtype);
  STOWAGE_CHECK(s.samples >= 0 && s.in_channels > 0 && s.out_channels > 0 && s.kernel_rows > 0 && s.kernel_columns > 0)
      << s.samples << " samples, " << s.in_channels << " to " << s.out_channels << " channels, kernel " << s.kernel_rows
      << " x " << s.kernel_columns;
  STOWAGE_CHECK(s.stride == 1 || s.stride == 2) << "stride " << s.stride;
  STOWAGE_CHECK(s.padding >= 0 && s.rows + 2 * s.padding >= s.kernel_rows &&
                s.columns + 2 * s.padding >= s.kernel_columns)
      << "image " << s.rows << " x " << s.columns << ", padding " << s.padding << ", kernel " << s.kernel_rows << " x "
      << s.kernel_columns;
}

// Where the weight of (result channel, source channel, tap row, tap column) of a pass lies.
struct WeightOrder {
  int64_t offset = 0, result = 0, source = 0, tap_row = 0, tap_column = 0;
};

// See ConvImageTask.
void Pack(DType dtype, const void* weight, const WeightOrder& order, const ConvPass& pass, const ConvSource& source,
          const ConvResult& result, bool pairs, void* packed) {
  const int64_t word_channels = pairs ? 2 : 1;
  int64_t at = 0;  // elements
  const auto each = [&](auto&& put) {
    for (int64_t tile = 0; tile < result.tiles; ++tile) {
      for (int64_t block = 0; block < source.blocks; ++block) {
        for (int64_t a = 0; a < pass.tap_rows; ++a) {
          for (int64_t b = 0; b < pass.tap_columns; ++b) {
            for (int64_t i = 0; i < source.block_channels; i += word_channels) {
              for (int64_t o = 0; o < result.tile_channels; ++o) {
                for (int64_t half = 0; half < word_channels; ++half, ++at) {
                  const int64_t to = tile * result.tile_channels + o, from = block * source.block_channels + i + half;
                  put(to < result.channels && from < source.channels
                          ? order.offset + to * order.result + from * order.source + a * order.tap_row +
                                b * order.tap_column
                          : -1);
                }
              }
            }
          }
        }
      }
    }
  };
  if (pairs) {
    each([&](int64_t i) { static_cast<uint16_t*>(packed)[at] = i < 0 ? 0 : static_cast<const uint16_t*>(weight)[i]; });
  } else if (dtype == DType::kBFloat16) {
    each([&](int64_t i) {
      static_cast<float*>(packed)[at] = i < 0 ? 0.0f : Bf16ToFp32(static_cast<const uint16_t*>(weight)[i]);
    });
  } else {
    each([&](int64_t i) { static_cast<float*>(packed)[at] = i < 0 ? 0.0f : static_cast<const float*>(weight)[i]; });
  }
}

int64_t PackedWords(const ConvPass& pass, const ConvSource& source, const ConvResult& result) {
  return result.tiles * source.blocks * pass.tap_rows * pass.tap_columns * source.block_words * result.tile_channels;
}

// All passes over all samples. `source_numel`, `result_numel`: elements of an image.
void RunPasses(DType dtype, int64_t samples, std::vector<ConvImageTask> tasks, const std::vector<WeightOrder>& orders,
               const void* weight, const void* source, int64_t source_numel, void* result, int64_t result_numel) {
  if (samples == 0) return;
  int64_t packed_words = 0, band_words = 0;
  for (const ConvImageTask& task : tasks) {
    packed_words += PackedWords(task.pass, task.source, task.result);
    band_words = std::max(band_words, task.pass.band_words(task.source));
  }
  const int64_t workers = std::min(samples, ParallelThreads());
  // Whole lines of the cache for each worker.
  band_words = (band_words + 31) / 16 * 16;
  const Scratch packed(packed_words * kWordBytes), bands(workers * band_words * kWordBytes);
  if (Dry()) return;
  char* at = static_cast<char*>(packed.data());
  for (size_t i = 0; i < tasks.size(); ++i) {
    ConvImageTask& task = tasks[i];
    Pack(dtype, weight, orders[i], task.pass, task.source, task.result, task.pairs, at);
    task.packed = at;
    at += PackedWords(task.pass, task.source, task.result) * kWordBytes;
  }
  const int64_t bytes = DTypeBytes(dtype);
  ParallelFor(workers, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      char* scratch = static_cast<char*>(bands.data()) + worker * band_words * kWordBytes;
      for (int64_t n = samples * worker / workers; n < samples * (worker + 1) / workers; ++n) {
        for (const ConvImageTask& task : tasks) {
          internal::ConvImage(task, static_cast<const char*>(source) + n * source_numel * bytes,
                              static_cast<char*>(result) + n * result_numel * bytes, scratch);
        }
      }
    }
  });
}

ConvPass ForwardPass(const Conv2dShape& s) {
  ConvPass pass;
  pass.source_rows = s.rows;
  pass.source_columns = s.columns;
  pass.row_origin = pass.column_origin = -s.padding;
  pass.tap_rows = s.kernel_rows;
  pass.tap_columns = s.kernel_columns;
  pass.step = s.stride;
  pass.rows = s.out_rows();
  pass.columns = s.out_columns();
  pass.result_row_stride = pass.columns * s.out_channels;
  pass.result_pixel_stride = s.out_channels;
  return pass;
}

// One direction of the input's gradient at the pixels stride * j + remainder. Pixel p takes from result (p + padding -
// tap) / stride for the taps where that is whole: tap = first, first + stride, ... As the tap grows the result's index
// falls, so the taps are taken backwards.
struct Remainder {
  Remainder(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t remainder)
      : first((remainder + padding) % stride),
        taps(first < kernel ? (kernel - first + stride - 1) / stride : 0),
        last(first + stride * (taps - 1)),
        origin((remainder + padding - first) / stride - (taps - 1)),
        size(size > remainder ? (size - remainder + stride - 1) / stride : 0) {}
  int64_t first, taps, last, origin, size;
};

}  // namespace

void Conv2d(DType dtype, const Conv2dShape& s, const void* x, const void* weight, void* y) {
  Check(dtype, s);
  const ConvMachine machine = internal::CurrentConvMachine();
  const bool pairs = dtype == DType::kBFloat16 && machine.multiplies_pairs;
  const ConvImageTask task = {ForwardPass(s), ConvSource(s.in_channels, pairs, s.stride == 1),
                              ConvResult(s.out_channels, machine), pairs, dtype};
  const int64_t kernel = s.kernel_numel();
  RunPasses(dtype, s.samples, {task}, {{0, s.in_channels * kernel, kernel, s.kernel_columns, 1}}, weight, x,
            s.rows * s.columns * s.in_channels, y, s.out_rows() * s.out_columns() * s.out_channels);
}

void Conv2dInputGradient(DType dtype, const Conv2dShape& s, const void* dy, const void* weight, void* dx) {
  Check(dtype, s);
  const ConvMachine machine = internal::CurrentConvMachine();
  const bool pairs = dtype == DType::kBFloat16 && machine.multiplies_pairs;
  const ConvSource source(s.out_channels, pairs, /*any_block=*/true);
  const ConvResult result(s.in_channels, machine);
  std::vector<ConvImageTask> tasks;
  std::vector<WeightOrder> orders;
  const int64_t kernel = s.kernel_numel();
  for (int64_t i = 0; i < s.stride; ++i) {
    for (int64_t j = 0; j < s.stride; ++j) {
      const Remainder row(s.rows, s.kernel_rows, s.stride, s.padding, i);
      const Remainder column(s.columns, s.kernel_columns, s.stride, s.padding, j);
      if (row.size == 0 || column.size == 0) continue;
      ConvPass pass;
      pass.source_rows = s.out_rows();
      pass.source_columns = s.out_columns();
      pass.row_origin = row.origin;
      pass.column_origin = column.origin;
      pass.tap_rows = row.taps;
      pass.tap_columns = column.taps;
      pass.rows = row.size;
      pass.columns = column.size;
      pass.result_offset = (i * s.columns + j) * s.in_channels;
      pass.result_row_stride = s.stride * s.columns * s.in_channels;
      pass.result_pixel_stride = s.stride * s.in_channels;
      tasks.push_back({pass, source, result, pairs, dtype});
      orders.push_back({row.last * s.kernel_columns + column.last, kernel, s.in_channels * kernel,
                        -s.stride * s.kernel_columns, -s.stride});
    }
  }
  RunPasses(dtype, s.samples, std::move(tasks), orders, weight, dy, s.out_rows() * s.out_columns() * s.out_channels, dx,
            s.rows * s.columns * s.in_channels);
}

void Conv2dWeightGradient(DType dtype, const Conv2dShape& s, const void* x, const void* dy, bool accumulate,
                          float* dweight) {
  Check(dtype, s);
  const ConvMachine machine = internal::CurrentConvMachine();
  const bool pairs = dtype == DType::kBFloat16 && machine.multiplies_pairs;
  const ConvGradientTask task = {ForwardPass(s), ConvSource(s.in_channels, /*pairs_of_channels=*/false, true),
                                 ConvResult(s.out_channels, machine), pairs, dtype};
  const int64_t numel = task.result.tiles * task.tile_numel();
  const int64_t parts = std::clamp<int64_t>(kGradientPartsBytes / (numel * kWordBytes), 1,
                                            std::clamp<int64_t>(s.samples, 1, kGradientParts));
  // With few parts the channels are dealt out too; a band of the image is then copied once for each tile of them.
  const int64_t splits = parts < kGradientParts ? task.result.tiles : 1;
  const int64_t units = parts * splits, workers = std::min(units, ParallelThreads());
  const int64_t scratch_words = (task.scratch_words() + 31) / 16 * 16;
  const Scratch sums_block(parts * numel * kWordBytes), bands(workers * scratch_words * kWordBytes);
  if (Dry()) return;
  float* const sums = static_cast<float*>(sums_block.data());
  const int64_t bytes = DTypeBytes(dtype), x_bytes = s.rows * s.columns * s.in_channels * bytes,
                dy_bytes = s.out_rows() * s.out_columns() * s.out_channels * bytes;
  ParallelFor(workers, 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      char* scratch = static_cast<char*>(bands.data()) + worker * scratch_words * kWordBytes;
      for (int64_t unit = units * worker / workers; unit < units * (worker + 1) / workers; ++unit) {
        const int64_t part = unit / splits, split = unit % splits;
        const int64_t first = task.result.tiles * split / splits, last = task.result.tiles * (split + 1) / splits;
        float* to = sums + part * numel;
        std::memset(to + first * task.tile_numel(), 0, (last - first) * task.tile_numel() * sizeof(float));
        for (int64_t n = s.samples * part / parts; n < s.samples * (part + 1) / parts; ++n) {
          internal::ConvImageGradient(task, first, last, static_cast<const char*>(x) + n * x_bytes,
                                      static_cast<const char*>(dy) + n * dy_bytes, to, scratch);
        }
      }
    }
  });
  // A grain of 4,096 elements: 16 parts of them are 256 KiB to read.
  ParallelFor(numel, 4096, 16, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < parts; ++part) {
      const float* from = sums + part * numel;
      for (int64_t i = begin; i < end; ++i) sums[i] += from[i];
    }
  });
  const int64_t block = task.source.block_channels, tile = task.result.tile_channels;
  for (int64_t o = 0; o < s.out_channels; ++o) {
    for (int64_t i = 0; i < s.in_channels; ++i) {
      for (int64_t a = 0; a < s.kernel_rows; ++a) {
        for (int64_t b = 0; b < s.kernel_columns; ++b, ++dweight) {
          const int64_t row = (o / tile * task.source.blocks + i / block) * s.kernel_rows + a;
          const float value = sums[((row * s.kernel_columns + b) * block + i % block) * tile + o % tile];
          *dweight = accumulate ? *dweight + value : value;
        }
      }
    }
  }
}

}  // namespace stowage::kernels
