// A YAML text as a tree whose every value remembers where it was written.
//
// Why not YAML::Node: trees of several files are merged here, and an error about a merged value must still name the
// file it came from; YAML::Node also keeps the last of two equal keys without a word. The scanner is yaml-cpp's.
//
// Plain data; thread-safe: no state.
#ifndef STOWAGE_TRAINER_CONFIG_YAML_TREE_H_
#define STOWAGE_TRAINER_CONFIG_YAML_TREE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

// Where something was written: a file (line and column count from 1), or, with line 0, only what `file` says
// ("--set train.steps=5").
struct Place {
  std::string file;
  int line = 0;
  int column = 0;

  std::string ToString() const;  // "configs/a.yaml:7:3"; without a line just `file`
};

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Place place;
  Place key_place;              // of the key it stands under, if it stands in a map
  std::string text;             // kScalar
  bool quoted = false;          // kScalar: written in quotes, so it is text whatever it looks like
  std::vector<YamlNode> items;  // kList
  std::vector<std::pair<std::string, YamlNode>> entries;  // kMap, in the order written; keys are unique

  const YamlNode* Find(absl::string_view key) const;
  void Erase(absl::string_view key);

  // For messages: `"abc"`, `12`, `a list`, `a map`, `nothing`.
  std::string Describe() const;
};

// InvalidArgument with `status`'s kind of words: "<place>: <message>".
absl::Status ErrorAt(const Place& place, absl::string_view message);

// One document. `name` stands for the file in places. Aliases are copied.
// InvalidArgument with the place: syntax, a key twice in one map, a key that is no plain word, a second document, or a
// tree that aliases blow up beyond a config's size. An empty text gives kNull.
absl::StatusOr<YamlNode> ParseYaml(const std::string& text, const std::string& name);

// Lays `over` on `base`: maps merge, everything else replaces.
void MergeInto(YamlNode& base, const YamlNode& over);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_YAML_TREE_H_
