// What a program adds to the words that a config may use: kinds of models with their options, sources of data.
//
// Plain data; the functions are pure.
#ifndef STOWAGE_TRAINER_CONFIG_REGISTERED_H_
#define STOWAGE_TRAINER_CONFIG_REGISTERED_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/config/config.h"
#include "trainer/config/contradictions.h"

namespace stowage {

struct Field;
struct YamlNode;

// Besides what is built in.
struct Registered {
  std::map<std::string, ModelOptions> models;  // kind -> its options with their defaults
  std::vector<std::string> data_sources;

  bool IsModel(const std::string& kind) const { return models.count(kind) > 0; }
  bool IsSource(const std::string& source) const;
  // What is registered for model.kind or data.source; nothing for other keys.
  std::vector<std::string> WordsFor(const std::string& key) const;
};

// As Field::read, with the registered words allowed for model.kind and data.source. An unknown word: the nearest one
// and the list of all. The message lacks key and place.
absl::Status ReadFieldWith(const Registered& registered, const Field& field, const YamlNode& value, Config& config);

// Whether the value of `field` is a registered word: built, whatever the declaration says.
bool IsRegistered(const Registered& registered, const Field& field, const Config& config);

// InvalidArgument, with the place: an option that the kind does not declare (the nearest one is named), or one of
// another type than its default. Kinds that are built in have no options.
absl::Status CheckModelOptions(const Registered& registered, const Config& config, const PlaceOfKey& place_of);

// Options that are not given take their defaults; whole numbers become numbers where the default is one. `model` was
// checked.
void FillModelOptions(const Registered& registered, ModelConfig& model);

// What a program's own kinds and sources add to ConfigHelp; empty if there are none.
std::string RegisteredHelp(const Registered& registered);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_REGISTERED_H_
