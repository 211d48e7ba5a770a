// All that a program needs to train its own models with Stowage. docs/library.md shows how.
//
//   own modules, own data, C++ only     stowage::TrainMain (train.h)
//   own modules in YAML experiments     stowage::Main (main.h)
#ifndef STOWAGE_INCLUDE_STOWAGE_STOWAGE_H_
#define STOWAGE_INCLUDE_STOWAGE_STOWAGE_H_

#include "stowage/dataset.h"  // IWYU pragma: export
#include "stowage/main.h"     // IWYU pragma: export
#include "stowage/module.h"   // IWYU pragma: export
#include "stowage/train.h"    // IWYU pragma: export

#endif  // STOWAGE_INCLUDE_STOWAGE_STOWAGE_H_
