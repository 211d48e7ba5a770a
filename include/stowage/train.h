// Training from C++: Config, TrainMain and Train for a program's own model and data, alone or under mpirun.
#ifndef STOWAGE_INCLUDE_STOWAGE_TRAIN_H_
#define STOWAGE_INCLUDE_STOWAGE_TRAIN_H_

#include "trainer/config/config.h"   // IWYU pragma: export
#include "trainer/run/train_main.h"  // IWYU pragma: export
#include "trainer/run/train_run.h"   // IWYU pragma: export

#endif  // STOWAGE_INCLUDE_STOWAGE_TRAIN_H_
