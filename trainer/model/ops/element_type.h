// A tensor's dtype as the kernels name it.
#ifndef STOWAGE_TRAINER_MODEL_OPS_ELEMENT_TYPE_H_
#define STOWAGE_TRAINER_MODEL_OPS_ELEMENT_TYPE_H_

#include <ATen/core/Tensor.h>

#include "base/check.h"
#include "base/dtype.h"

namespace stowage::ops {

// fp32 and bf16, which the kernels take; segments compute in no other.
inline DType ElementType(const at::Tensor& t) {
  STOWAGE_CHECK(t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16) << c10::toString(t.scalar_type());
  return t.scalar_type() == at::kFloat ? DType::kFloat32 : DType::kBFloat16;
}

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_ELEMENT_TYPE_H_
