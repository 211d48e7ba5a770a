// A GradientSlot's address as a number, the one form in which an autograd node can carry it.
//
// The slots belong to the parameter groups, which outlive every graph of a step.
#ifndef STOWAGE_TRAINER_MODEL_OPS_SLOT_POINTER_H_
#define STOWAGE_TRAINER_MODEL_OPS_SLOT_POINTER_H_

#include <cstdint>

#include <ATen/core/ivalue.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

inline int64_t SlotNumber(GradientSlot* slot) { return reinterpret_cast<int64_t>(slot); }
inline GradientSlot* SlotFrom(const c10::IValue& number) { return reinterpret_cast<GradientSlot*>(number.toInt()); }

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_SLOT_POINTER_H_
