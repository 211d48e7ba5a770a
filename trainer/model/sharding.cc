#include "trainer/model/sharding.h"

#include "base/check.h"

namespace stowage {

void ApplySharding(const Config& config, Model* model) {
  STOWAGE_CHECK(config.sharding.zero.has_value() && config.train.reduce_per != "auto") << "not resolved";
  for (GroupSpec& group : model->groups) group.zero_stage = static_cast<int>(*config.sharding.zero);
  model->reduce_per_micro = config.train.reduce_per == "micro";
  model->gather_ahead = static_cast<int>(config.sharding.gather_ahead);
}

}  // namespace stowage
