#include "trainer/config/source.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "trainer/config/expand.h"

namespace stowage {
namespace {

namespace fs = std::filesystem;

// Nobody writes a config of this size by hand; a token file given by mistake is said to be one at once.
constexpr size_t kMaxFileBytes = size_t{4} << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a folder, not a config file"));
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int why = errno;
    const std::string message = absl::StrCat(path, ": cannot be read: ", std::strerror(why));
    return why == ENOENT ? absl::NotFoundError(message) : absl::InvalidArgumentError(message);
  }
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is larger than 4 MiB: this is no config"));
  }
  return text;
}

absl::StatusOr<YamlNode> ParseTop(const std::string& text, const std::string& name) {
  STOWAGE_ASSIGN_OR_RETURN(YamlNode tree, ParseYaml(text, name));
  if (tree.kind == YamlNode::Kind::kNull) {
    return ErrorAt({name, 1, 1}, "the file is empty; a config starts with sections such as \"model:\"");
  }
  if (tree.kind != YamlNode::Kind::kMap) {
    return ErrorAt(tree.place,
                   absl::StrCat("a config is a map of sections such as \"model:\", found ", tree.Describe()));
  }
  return tree;
}

absl::StatusOr<std::vector<YamlNode>> IncludedPaths(const YamlNode& include) {
  std::vector<YamlNode> paths;
  if (include.kind == YamlNode::Kind::kList) {
    paths = include.items;
  } else {
    paths.push_back(include);
  }
  for (YamlNode& path : paths) {
    if (path.kind != YamlNode::Kind::kScalar || path.text.empty()) {
      return ErrorAt(path.place, absl::StrCat("include: must be a path or a list of paths, found ", path.Describe()));
    }
    const auto expanded = ExpandEnvironment(path.text);
    if (!expanded.ok()) return ErrorAt(path.place, absl::StrCat("include: ", expanded.status().message()));
    path.text = *expanded;
  }
  return paths;
}

// `open`: the files that are being read, outermost first.
absl::StatusOr<YamlNode> ReadTreeWithin(const std::string& path, std::vector<std::string>& open) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  STOWAGE_ASSIGN_OR_RETURN(YamlNode tree, ParseTop(text, path));
  const YamlNode* found = tree.Find("include");
  if (found == nullptr) return tree;
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<YamlNode> includes, IncludedPaths(*found));
  tree.Erase("include");

  open.push_back(path);
  YamlNode merged{YamlNode::Kind::kMap, tree.place};
  for (const YamlNode& include : includes) {
    const std::string inner = (fs::path(path).parent_path() / include.text).lexically_normal().string();
    for (const std::string& outer : open) {
      std::error_code ignored;  // two paths that do not exist are not the same file
      if (fs::equivalent(outer, inner, ignored)) {
        return ErrorAt(include.place,
                       absl::StrCat("include: goes round in a circle: ", absl::StrJoin(open, " -> "), " -> ", inner));
      }
    }
    absl::StatusOr<YamlNode> base = ReadTreeWithin(inner, open);
    if (absl::IsNotFound(base.status())) {
      return absl::NotFoundError(absl::StrCat(include.place.ToString(), ": include: ", base.status().message()));
    }
    if (!base.ok()) return base.status();
    MergeInto(merged, *base);
  }
  open.pop_back();
  MergeInto(merged, tree);
  return merged;
}

void StampPlace(YamlNode& node, const Place& place) {
  node.place = place;
  node.key_place = place;
  for (YamlNode& item : node.items) StampPlace(item, place);
  for (auto& entry : node.entries) StampPlace(entry.second, place);
}

}  // namespace

absl::StatusOr<YamlNode> ReadTree(const std::string& path) {
  std::vector<std::string> open;
  return ReadTreeWithin(path, open);
}

absl::StatusOr<YamlNode> ReadTreeFromText(const std::string& text, const std::string& name) {
  STOWAGE_ASSIGN_OR_RETURN(YamlNode tree, ParseTop(text, name));
  if (const YamlNode* include = tree.Find("include")) {
    return ErrorAt(include->key_place, "include: works in files only; this text has no folder to look in");
  }
  return tree;
}

absl::Status ApplySet(const std::string& set, YamlNode& tree) {
  const Place place{absl::StrCat("--set ", set)};
  const size_t equals = set.find('=');
  if (equals == std::string::npos) {
    return ErrorAt(place, "has no \"=\"; write --set key.path=value, for example --set train.steps=100");
  }
  const std::vector<std::string> keys = absl::StrSplit(set.substr(0, equals), '.');
  for (const std::string& key : keys) {
    if (key.empty()) return ErrorAt(place, "has an empty key; write --set key.path=value");
  }
  if (keys[0] == "include") return ErrorAt(place, "include belongs in a file, not in --set");

  const std::string value = set.substr(equals + 1);
  YamlNode node{YamlNode::Kind::kScalar};
  node.quoted = true;
  if (!value.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(node, ParseYaml(value, place.file));
  }
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    YamlNode map{YamlNode::Kind::kMap};
    map.entries.emplace_back(*key, std::move(node));
    node = std::move(map);
  }
  StampPlace(node, place);
  MergeInto(tree, node);
  return absl::OkStatus();
}

}  // namespace stowage
