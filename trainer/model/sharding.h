// How a model is spread over ranks: ZeRO stages of its groups, when gradients are reduced, how far ahead it is
// gathered.
//
// Source: Rajbhandari et al., "ZeRO", arXiv:1910.02054, section 5.
#ifndef STOWAGE_TRAINER_MODEL_SHARDING_H_
#define STOWAGE_TRAINER_MODEL_SHARDING_H_

#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// Writes what `config` (resolved) says into the model: GroupSpec::zero_stage of every group, reduce_per_micro and
// gather_ahead. Before bytes are made.
void ApplySharding(const Config& config, Model* model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_SHARDING_H_
