// File names with patterns, as data.train and data.validation have them.
#ifndef STOWAGE_TRAINER_DATA_EXPAND_PATHS_H_
#define STOWAGE_TRAINER_DATA_EXPAND_PATHS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stowage {

// Patterns (* ? [) become the files they match, sorted; a path that exists is taken as it is. NotFound: a pattern
// that no file matches; `key` is named in it.
absl::StatusOr<std::vector<std::string>> ExpandPaths(const std::vector<std::string>& paths, const char* key);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_EXPAND_PATHS_H_
