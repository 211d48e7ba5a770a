// A run's data: one of the program's own sources, or what the config names.
#ifndef STOWAGE_TRAINER_RUN_RUN_DATA_H_
#define STOWAGE_TRAINER_RUN_RUN_DATA_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/open_data.h"
#include "trainer/run/own_kinds.h"

namespace stowage {

// Not collective. `say` as for OpenData. Errors of OpenData; of an own source: its own, with its name, and
// InvalidArgument if it gives no training data or a set without samples.
absl::StatusOr<Data> OpenRunData(const Config& config, const OwnKinds& own,
                                 const std::function<void(const std::string&)>& say);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_RUN_DATA_H_
