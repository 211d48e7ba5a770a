// What a program brings besides what is built in: kinds of models, sources of data. Handed from main to all that reads
// a config or makes a model; there is no global list.
#ifndef STOWAGE_TRAINER_RUN_OWN_KINDS_H_
#define STOWAGE_TRAINER_RUN_OWN_KINDS_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/config/registered.h"
#include "trainer/data/open_data.h"
#include "trainer/model/model_kinds.h"
#include "trainer/model/segment.h"

namespace stowage {

// Opens training and validation data (the latter may be null). Called by every rank at the same time. `data.train` and
// `data.validation`, which are paths, and the other keys of the section mean what the source says.
using DataSource = std::function<absl::StatusOr<Data>(const DataConfig& data)>;
using DataSources = std::map<std::string, DataSource>;  // by the word for data.source

struct OwnKinds {
  ModelKinds models;
  DataSources data;
};

// InvalidArgument: a name that is built in, or no word, or a kind or source without a function.
absl::Status CheckOwnKinds(const OwnKinds& own);

// For trainer/config/load.h.
Registered RegisteredOf(const OwnKinds& own);

// The program's own kind or else the built-in one. As MakeModel.
absl::StatusOr<Model> MakeOwnModel(const OwnKinds& own, const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_OWN_KINDS_H_
