// Sums of a matrix's columns: the gradient of a bias.
//
// Threads take columns, and a column's elements are added in one fixed order, in fp32: 64 rows at a time, then the
// sums of those, so that the error grows with rows / 64 and 64 and not with their product. Any number of threads gives the
// same bits. Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_COLUMN_SUM_H_
#define STOWAGE_KERNELS_COLUMN_SUM_H_

#include <cstdint>

namespace stowage::kernels {

// to[j] = sum over i of from[i, j], or to[j] += it. from [rows, columns] bf16, its rows contiguous and one after another;
// to [columns] fp32. rows 0: sums of nothing are 0.
void ColumnSumBf16(const uint16_t* from, int64_t rows, int64_t columns, bool accumulate, float* to);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_COLUMN_SUM_H_
