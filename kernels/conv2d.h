// Convolutions of images in two dimensions, and their gradients.
//
//   y[n, r, c, o] = sum over i, a, b of weight[o, i, a, b] * x[n, stride r + a - padding, stride c + b - padding, i]
//
// (what lies outside of the image is 0). Images are channels-last: [samples, rows, columns, channels], contiguous.
//
// Directly, by products of tiles: some neighbouring pixels times one or two vectors of result channels are summed in
// registers over all kernel positions and input channels. Images are copied with their border of zeros into scratch
// that stays in the second-level cache, channels in blocks of 16 (the form of Georganas et al., arXiv:1808.05567,
// section II), so that a tile's pixels lie at distances known when the code is compiled. It is meant for small kernels
// and few channels, where a convolution as one large matrix product spends its time on unfolding images.
//
// x, weight, y and their gradients are fp32 or bf16 (`dtype`), sums fp32, rounded once; the weight's gradient is fp32.
// bf16 is multiplied in pairs where the CPU has AVX512-BF16, which takes subnormals for zero; elsewhere as fp32.
// Multiply and add are fused: bits differ between kinds of vector unit. On one kind they depend on the shape alone, not
// on the number of threads; y and dx of a sample do not depend on the other samples.
//
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h), by samples.
// Takes scratch (scratch.h, which may throw before anything is written): the weight in another order, an image's band
// of rows per thread (some 200 KiB), and for the weight's gradient up to 16 weights' sizes or 16 MiB.
#ifndef STOWAGE_KERNELS_CONV2D_H_
#define STOWAGE_KERNELS_CONV2D_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

struct Conv2dShape {
  int64_t samples = 0;  // 0: nothing is computed, and the weight's gradient is 0
  int64_t rows = 0;     // of an input image
  int64_t columns = 0;
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel_rows = 1;
  int64_t kernel_columns = 1;
  int64_t stride = 1;   // 1 or 2, in both directions
  int64_t padding = 0;  // zeros on each side

  // Of a result image; >= 1, or the shape is a bug of the caller's.
  int64_t out_rows() const { return (rows + 2 * padding - kernel_rows) / stride + 1; }
  int64_t out_columns() const { return (columns + 2 * padding - kernel_columns) / stride + 1; }
  int64_t kernel_numel() const { return kernel_rows * kernel_columns; }
  int64_t weight_numel() const { return out_channels * in_channels * kernel_numel(); }
};

// x [samples, rows, columns, in_channels], weight [out_channels, in_channels, kernel_rows, kernel_columns]
// -> y [samples, out_rows, out_columns, out_channels]. y overlaps neither.
void Conv2d(DType dtype, const Conv2dShape& shape, const void* x, const void* weight, void* y);

// dy of y's shape -> dx of x's shape, written whole. dx overlaps neither dy nor weight.
void Conv2dInputGradient(DType dtype, const Conv2dShape& shape, const void* dy, const void* weight, void* dx);

// dweight of weight's shape, fp32: written, or added to with `accumulate`.
void Conv2dWeightGradient(DType dtype, const Conv2dShape& shape, const void* x, const void* dy, bool accumulate,
                          float* dweight);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_CONV2D_H_
