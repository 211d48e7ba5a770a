// The `stowage` command as the main of a program with models and data of its own: stowage::Main.
#ifndef STOWAGE_INCLUDE_STOWAGE_MAIN_H_
#define STOWAGE_INCLUDE_STOWAGE_MAIN_H_

#include "tools/stowage/command_line.h"  // IWYU pragma: export

#endif  // STOWAGE_INCLUDE_STOWAGE_MAIN_H_
