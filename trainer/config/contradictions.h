// Values that are each allowed and cannot stand together.
#ifndef STOWAGE_TRAINER_CONFIG_CONTRADICTIONS_H_
#define STOWAGE_TRAINER_CONFIG_CONTRADICTIONS_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "trainer/config/config.h"

namespace stowage {

// Says where the value of a key was written: "configs/a.yaml:7:3", or "" if it was not (a default).
using PlaceOfKey = std::function<std::string(const std::string& key)>;

// InvalidArgument for the first contradiction, with the places of both values. `no_place` stands before a message
// about something that is missing altogether. `own_source`: data.source is one that the program brings, which may read
// data.train and data.validation as it likes. Thread-safe: no state.
absl::Status CheckContradictions(const Config& config, const PlaceOfKey& place_of, const std::string& no_place,
                                 bool own_source = false);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_CONTRADICTIONS_H_
