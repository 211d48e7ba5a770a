// ${NAME} in paths.
#ifndef STOWAGE_TRAINER_CONFIG_EXPAND_H_
#define STOWAGE_TRAINER_CONFIG_EXPAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

// Puts the environment's value for each ${NAME}; "$${" stands for a plain "${".
// InvalidArgument: an unset variable (named), an unclosed brace, an empty name. Reads the environment.
absl::StatusOr<std::string> ExpandEnvironment(absl::string_view text);

// The text that expands to `text` itself.
std::string EscapeExpansion(absl::string_view text);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_EXPAND_H_
