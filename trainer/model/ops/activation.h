// Activations by one kernel forward and one backward. x is fp32 or bf16, computed in fp32; results have x's dtype.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ACTIVATION_H_
#define STOWAGE_TRAINER_MODEL_OPS_ACTIVATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/gelu.h"

namespace stowage::ops {

using kernels::GeluKind;

// Keeps x for backward, nothing else. Any shape.
at::Tensor Gelu(const at::Tensor& x, GeluKind kind);

// silu(gate) * up. x [..., 2 * width], the gates first -> [..., width]. Keeps x for backward, nothing else.
at::Tensor SwiGlu(const at::Tensor& x);

// Keeps one bit an element for backward, and neither x nor the result. Any shape.
at::Tensor Relu(const at::Tensor& x);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ACTIVATION_H_
