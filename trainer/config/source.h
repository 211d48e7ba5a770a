// Files, `include:` and `--set` to one tree.
#ifndef STOWAGE_TRAINER_CONFIG_SOURCE_H_
#define STOWAGE_TRAINER_CONFIG_SOURCE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {

// The map in `path` laid over what it includes. `include:` is a path or a list of paths (later ones win), relative to
// the file that names it; the file's own keys win over all of them, wherever the line stands.
// NotFound: a file that is not there (both files named, if included). InvalidArgument: unreadable, empty, not YAML, no
// map, an include that comes back to itself.
absl::StatusOr<YamlNode> ReadTree(const std::string& path);

// The map in `text`; `include:` is refused, because there is no folder that it would be relative to.
absl::StatusOr<YamlNode> ReadTreeFromText(const std::string& text, const std::string& name);

// Lays "key.path=value" over `tree`; the value is YAML ("[0.9, 0.95]", "{every: 2}"), nothing means empty text. The
// place of what it sets is "--set key.path=value".
absl::Status ApplySet(const std::string& set, YamlNode& tree);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_SOURCE_H_
