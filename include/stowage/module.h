// Models: from torch::nn modules and a loss (ModelBuilder), or written as segments and groups (Segment, Model).
//
// For training loops of one's own: Recomputed, activation checkpointing of any function.
//
// ModelKind names a factory with its options for stowage::Main; Option<T> reads one.
#ifndef STOWAGE_INCLUDE_STOWAGE_MODULE_H_
#define STOWAGE_INCLUDE_STOWAGE_MODULE_H_

#include "trainer/model/model_kinds.h"     // IWYU pragma: export
#include "trainer/model/segment.h"         // IWYU pragma: export
#include "trainer/module/model_builder.h"  // IWYU pragma: export
#include "trainer/module/recomputed.h"     // IWYU pragma: export

#endif  // STOWAGE_INCLUDE_STOWAGE_MODULE_H_
