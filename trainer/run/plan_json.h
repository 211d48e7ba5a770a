// plan.json: what was chosen, and the schedule that follows, for people and tools.
#ifndef STOWAGE_TRAINER_RUN_PLAN_JSON_H_
#define STOWAGE_TRAINER_RUN_PLAN_JSON_H_

#include <string>

#include "trainer/config/config.h"
#include "trainer/model/segment.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/planner.h"

namespace stowage {

// `config` is resolved. Bytes are those of one rank (ZeRO 0: every rank holds all).
std::string PlanJson(const Config& config, const Model& model, const Schedule& train_step, int world_size,
                     int threads);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_PLAN_JSON_H_
