// Patterns of names, as configs write them: * stands for any letters, none included.
#ifndef STOWAGE_TRAINER_CONFIG_NAME_PATTERN_H_
#define STOWAGE_TRAINER_CONFIG_NAME_PATTERN_H_

#include "absl/strings/string_view.h"

namespace stowage {

// Whether the whole of `name` fits `pattern`.
inline bool MatchesPattern(absl::string_view name, absl::string_view pattern) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] != '*')
    return !name.empty() && name[0] == pattern[0] && MatchesPattern(name.substr(1), pattern.substr(1));
  return MatchesPattern(name, pattern.substr(1)) || (!name.empty() && MatchesPattern(name.substr(1), pattern));
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_NAME_PATTERN_H_
