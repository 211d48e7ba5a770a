#include "trainer/config/load.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/contradictions.h"
#include "trainer/config/init_from.h"
#include "trainer/config/nearest.h"
#include "trainer/config/registered.h"
#include "trainer/config/schema.h"
#include "trainer/config/source.h"
#include "trainer/config/yaml_tree.h"
#include "trainer/preset/preset.h"

namespace stowage {
namespace {

std::string LastPart(const std::string& key) { return key.substr(key.rfind('.') + 1); }

// Full keys of what may stand in `section` ("" is the top): fields and sections.
std::vector<std::string> ChildrenOf(const std::string& section) {
  std::vector<std::string> children;
  for (const Section& inner : Sections()) {
    const size_t dot = inner.key.rfind('.');
    const std::string parent = dot == std::string::npos ? "" : inner.key.substr(0, dot);
    if (!inner.key.empty() && parent == section) children.push_back(inner.key);
  }
  for (const Field& field : Fields()) {
    if (field.Section() == section) children.push_back(field.key);
  }
  return children;
}

// What was meant by `key`: a near word in the same section, the same word in another, or a near path.
std::string Meant(const std::string& section, const std::string& key) {
  std::vector<std::string> siblings;
  for (const std::string& child : ChildrenOf(section)) siblings.push_back(LastPart(child));
  const std::string sibling = Nearest(LastPart(key), siblings);
  if (!sibling.empty()) return section.empty() ? sibling : absl::StrCat(section, ".", sibling);
  std::vector<std::string> paths;
  for (const Field& field : Fields()) {
    if (LastPart(field.key) == LastPart(key)) return field.key;
    paths.push_back(field.key);
  }
  for (const Section& inner : Sections()) {
    if (!inner.key.empty() && LastPart(inner.key) == LastPart(key)) return inner.key;
  }
  return Nearest(key, paths);
}

absl::Status NoSuchKey(const std::string& section, const std::string& key, const Place& place) {
  const std::string meant = Meant(section, key);
  if (!meant.empty()) return ErrorAt(place, absl::StrCat(key, ": no such key; did you mean ", meant, "?"));
  return ErrorAt(place, absl::StrCat(key, ": no such key; ", section.empty() ? "a config" : section, " has ",
                                     absl::StrJoin(ChildrenOf(section), ", ", [](std::string* out, const auto& child) {
                                       absl::StrAppend(out, LastPart(child));
                                     })));
}

// Reads a merged tree into a Config, and remembers where each value was written.
class Reader {
 public:
  explicit Reader(const Registered& registered) : registered_(registered) {}

  absl::Status ReadSection(const std::string& section, const YamlNode& map) {
    for (const auto& [word, value] : map.entries) {
      const std::string key = section.empty() ? word : absl::StrCat(section, ".", word);
      if (const Field* field = FindField(key)) {
        STOWAGE_RETURN_IF_ERROR(ReadField(*field, value));
      } else if (FindSection(key) != nullptr) {
        if (value.kind == YamlNode::Kind::kNull) continue;  // a section whose lines are all commented out
        if (value.kind != YamlNode::Kind::kMap) {
          return ErrorAt(value.place,
                         absl::StrCat(key, ": is a section with keys of its own, found ", value.Describe()));
        }
        STOWAGE_RETURN_IF_ERROR(ReadSection(key, value));
      } else {
        return NoSuchKey(section, key, value.key_place);
      }
    }
    return absl::OkStatus();
  }

  // `take_sizes`: from the folder that model.init_from names.
  absl::StatusOr<Config> Finish(const std::string& name, bool take_sizes) {
    const auto place_of = [this](const std::string& key) {
      const auto found = places_.find(key);
      return found == places_.end() ? std::string() : found->second;
    };
    ApplyPresets();
    if (take_sizes) STOWAGE_RETURN_IF_ERROR(TakeInitFrom(place_of, config_));
    STOWAGE_RETURN_IF_ERROR(CheckModelOptions(registered_, config_, place_of));
    STOWAGE_RETURN_IF_ERROR(
        CheckContradictions(config_, place_of, name, registered_.IsSource(config_.data.source)));
    config_.places = std::move(places_);
    return std::move(config_);
  }

 private:
  absl::Status ReadField(const Field& field, const YamlNode& value) {
    if (value.kind == YamlNode::Kind::kNull) {
      return ErrorAt(value.key_place,
                     absl::StrCat(field.key, ": has no value; the default is ", field.write(Config())));
    }
    const absl::Status read = ReadFieldWith(registered_, field, value, config_);
    if (!read.ok()) return ErrorAt(value.place, absl::StrCat(field.key, ": ", read.message()));
    places_[field.key] = value.place.ToString();
    for (const auto& [word, inner] : value.entries) {
      places_[absl::StrCat(field.key, ".", word)] = inner.key_place.ToString();
    }
    for (size_t i = 0; i < value.items.size(); ++i) {
      places_[absl::StrCat(field.key, ".", i)] = value.items[i].place.ToString();
    }
    return absl::OkStatus();
  }

  // What a preset decides and the config does not, an explicit `auto` being a decision too.
  void ApplyPresets() {
    if (std::count(config_.preset.begin(), config_.preset.end(), "production") == 0) return;
    if (places_.count("memory.host") > 0) return;
    config_.memory.host.kind = BudgetValue::Kind::kPercent;
    config_.memory.host.percent = kProductionPercent;
  }

  const Registered& registered_;
  Config config_;
  std::map<std::string, std::string> places_;
};

absl::StatusOr<Config> FromTree(YamlNode tree, const std::string& name, const std::vector<std::string>& sets,
                                const Registered& registered, bool take_sizes) {
  for (const std::string& set : sets) STOWAGE_RETURN_IF_ERROR(ApplySet(set, tree));
  Reader reader(registered);
  STOWAGE_RETURN_IF_ERROR(reader.ReadSection("", tree));
  return reader.Finish(name, take_sizes);
}

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& path, const std::vector<std::string>& sets,
                                  const Registered& registered) {
  STOWAGE_ASSIGN_OR_RETURN(YamlNode tree, ReadTree(path));
  return FromTree(std::move(tree), path, sets, registered, /*take_sizes=*/true);
}

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& name,
                                   const std::vector<std::string>& sets, const Registered& registered) {
  STOWAGE_ASSIGN_OR_RETURN(YamlNode tree, ReadTreeFromText(text, name));
  return FromTree(std::move(tree), name, sets, registered, /*take_sizes=*/false);
}

}  // namespace stowage
