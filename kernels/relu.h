// ReLU that keeps one bit an element: whether the input passed. y = x where x > 0 or x is NaN, else 0.
//
// Values and gradients are ATen's (a zero's sign apart). Elements fp32 or bf16 (`dtype`).
// Highway, dispatched at run time. Thread-safe: no state. Splits over the OpenMP team (see parallel.h).
#ifndef STOWAGE_KERNELS_RELU_H_
#define STOWAGE_KERNELS_RELU_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

// Bytes of the mask of `numel` elements.
constexpr int64_t ReluMaskBytes(int64_t numel) { return (numel + 7) / 8; }

// x, y [numel], y may be x. mask [ReluMaskBytes(numel)]: bit i % 8 of byte i / 8 is element i's; bits past the last
// element are 0. mask null: none is wanted.
void Relu(DType dtype, const void* x, int64_t numel, void* y, uint8_t* mask);

// dx = dy where the bit is set, else 0. dx may be dy.
void ReluBackward(DType dtype, const uint8_t* mask, const void* dy, int64_t numel, void* dx);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_RELU_H_
