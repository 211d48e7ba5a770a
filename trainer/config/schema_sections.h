// The declarations, split over files so that each is read in one sitting. For schema.cc only.
#ifndef STOWAGE_TRAINER_CONFIG_SCHEMA_SECTIONS_H_
#define STOWAGE_TRAINER_CONFIG_SCHEMA_SECTIONS_H_

#include <vector>

#include "trainer/config/field.h"

namespace stowage {

std::vector<Field> ExperimentFields();  // run, model, data
std::vector<Field> TrainingFields();    // train, optimizer, precision
std::vector<Field> MachineFields();     // memory, sharding, checkpoint

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_SCHEMA_SECTIONS_H_
