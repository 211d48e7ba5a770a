#include "trainer/config/registered.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "trainer/config/field.h"
#include "trainer/config/nearest.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {
namespace {

constexpr char kModelKey[] = "model.kind";
constexpr char kSourceKey[] = "data.source";

// By the place in OptionValue.
constexpr const char* kTypes[] = {"true or false", "a whole number", "a number", "a text"};

template <typename Map>
std::vector<std::string> KeysOf(const Map& map) {
  std::vector<std::string> keys;
  for (const auto& entry : map) keys.push_back(entry.first);
  return keys;
}

bool Fits(const OptionValue& value, const OptionValue& declared) {
  return value.index() == declared.index() ||
         (std::holds_alternative<double>(declared) && std::holds_alternative<int64_t>(value));
}

}  // namespace

bool Registered::IsSource(const std::string& source) const {
  return std::count(data_sources.begin(), data_sources.end(), source) > 0;
}

std::vector<std::string> Registered::WordsFor(const std::string& key) const {
  if (key == kSourceKey) return data_sources;
  return key == kModelKey ? KeysOf(models) : std::vector<std::string>();
}

absl::Status ReadFieldWith(const Registered& registered, const Field& field, const YamlNode& value, Config& config) {
  if (field.key != kModelKey && field.key != kSourceKey) return field.read(value, config);
  const std::vector<std::string> own = registered.WordsFor(field.key);
  if (value.kind == YamlNode::Kind::kScalar && std::count(own.begin(), own.end(), value.text) > 0) {
    (field.key == kModelKey ? config.model.kind : config.data.source) = value.text;
    return absl::OkStatus();
  }
  const absl::Status read = field.read(value, config);
  if (read.ok() || value.kind != YamlNode::Kind::kScalar) return read;
  // The declaration lists what is built in: "gpt2, llama" or "kjv, or none".
  std::vector<std::string> words = absl::StrSplit(field.allowed, absl::ByAnyChar(", "), absl::SkipEmpty());
  words.erase(std::remove(words.begin(), words.end(), "or"), words.end());
  words.insert(words.end(), own.begin(), own.end());
  std::string message(read.message());
  const size_t found = message.rfind(", found ");
  if (found != std::string::npos && !own.empty()) {
    message.insert(found, absl::StrCat(", or this program's ", absl::StrJoin(own, ", ")));
  }
  const std::string nearest = Nearest(value.text, words);
  if (!nearest.empty()) absl::StrAppend(&message, "; did you mean ", nearest, "?");
  return absl::Status(read.code(), message);
}

bool IsRegistered(const Registered& registered, const Field& field, const Config& config) {
  return (field.key == kModelKey && registered.IsModel(config.model.kind)) ||
         (field.key == kSourceKey && registered.IsSource(config.data.source));
}

absl::Status CheckModelOptions(const Registered& registered, const Config& config, const PlaceOfKey& place_of) {
  const ModelConfig& model = config.model;
  const auto kind = registered.models.find(model.kind);
  const ModelOptions none;
  const ModelOptions& declared = kind == registered.models.end() ? none : kind->second;
  for (const auto& [word, value] : model.options) {
    const std::string key = absl::StrCat("model.options.", word);
    const std::string place = place_of(key);
    const std::string where = absl::StrCat(place, place.empty() ? "" : ": ", key, ": ");
    const auto found = declared.find(word);
    if (found == declared.end()) {
      const std::string nearest = Nearest(word, KeysOf(declared));
      return absl::InvalidArgumentError(
          absl::StrCat(where, "model kind ", model.kind, " has no such option; ",
                       !nearest.empty()   ? absl::StrCat("did you mean ", nearest, "?")
                       : declared.empty() ? "it has none"
                                          : absl::StrCat("it has ", absl::StrJoin(KeysOf(declared), ", "))));
    }
    if (!Fits(value, found->second)) {
      return absl::InvalidArgumentError(absl::StrCat(where, "must be ", kTypes[found->second.index()], ", found ",
                                                     WriteOption(value), " (", kTypes[value.index()], ")"));
    }
  }
  return absl::OkStatus();
}

void FillModelOptions(const Registered& registered, ModelConfig& model) {
  const auto kind = registered.models.find(model.kind);
  if (kind == registered.models.end()) return;
  for (const auto& [word, standard] : kind->second) {
    OptionValue& value = model.options.emplace(word, standard).first->second;
    if (std::holds_alternative<double>(standard) && std::holds_alternative<int64_t>(value)) {
      value = static_cast<double>(std::get<int64_t>(value));
    }
  }
}

std::string RegisteredHelp(const Registered& registered) {
  std::string out;
  if (!registered.models.empty()) absl::StrAppend(&out, "\nThis program's own kinds of models (model.kind)\n");
  for (const auto& [kind, options] : registered.models) {
    absl::StrAppend(&out, "  ", kind, "\n");
    for (const auto& [word, value] : options) {
      absl::StrAppend(&out, "      model.options.", word, ": ", kTypes[value.index()], " [", WriteOption(value), "]\n");
    }
  }
  if (!registered.data_sources.empty()) {
    absl::StrAppend(&out, "\nThis program's own sources of data (data.source)\n  ",
                    absl::StrJoin(registered.data_sources, "\n  "), "\n");
  }
  return out;
}

}  // namespace stowage
