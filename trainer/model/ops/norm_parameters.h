// A norm's parameters as its kernel wants them.
#ifndef STOWAGE_TRAINER_MODEL_OPS_NORM_PARAMETERS_H_
#define STOWAGE_TRAINER_MODEL_OPS_NORM_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include "kernels/norm_gradient.h"
#include "trainer/model/ops/slot_pointer.h"

namespace stowage::ops {

inline at::Tensor Fp32(const at::Tensor& weight) { return weight.to(at::kFloat).contiguous(); }

// Where the kernel puts the parameter's gradient; nowhere if there is no slot.
inline kernels::NormGradient NormTarget(const c10::IValue& slot_number) {
  GradientSlot* slot = SlotFrom(slot_number);
  if (slot == nullptr) return {};
  const GradientSlot::Target target = slot->Write();
  return {target.view.data_ptr<float>(), target.accumulate};
}

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_NORM_PARAMETERS_H_
