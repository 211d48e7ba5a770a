// Softmax cross-entropy of rows of logits, and its gradient in place.
//
// Per row: loss = log(sum(exp(logits))) - logits[target], by the row's maximum for range. With the gradient asked
// for, the row becomes softmax(logits) - onehot(target); a row whose target is `ignored` becomes zeros.
// One row is handled by one thread in one fixed order; the rows' losses are added in fp64 in row order. So threads do
// not change the bits; vector widths do. A NaN or +inf among a row's logits makes its loss no number.
// A row is read from memory once forward and once for the gradient, in pieces that stay in the first-level cache:
// Milakov and Gimelshein, arXiv:1805.02867.
#ifndef STOWAGE_KERNELS_CROSS_ENTROPY_H_
#define STOWAGE_KERNELS_CROSS_ENTROPY_H_

#include <cstdint>

namespace stowage::kernels {

// logits [rows, classes] fp32, targets [rows] in [0, classes) or `ignored`. Returns the summed loss (in a dry
// run, dry.h: 0).
double CrossEntropy(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored,
                    bool with_gradient);

// The same with the gradient in bf16, rounded once, for products in bf16: row r's gradient takes the first half of the
// bytes that its logits took. So `logits`, seen as bf16, holds a matrix [rows, classes] with rows 2 * classes apart.
double CrossEntropyBf16Gradient(float* logits, const int64_t* targets, int64_t rows, int64_t classes, int64_t ignored);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_CROSS_ENTROPY_H_
