// One key of a config, declared once: parser, help, JSON Schema, docs/config.md and config.yaml come from it.
//
// The default is not repeated here: it is the value in a fresh Config.
#ifndef STOWAGE_TRAINER_CONFIG_FIELD_H_
#define STOWAGE_TRAINER_CONFIG_FIELD_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "trainer/config/codec.h"
#include "trainer/config/config.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {

// What changes when the value does.
enum class Effect {
  kResults,  // losses and weights
  kSpeed,    // time or memory; the results stay
  kRecord,   // neither: names, files, how often something is written
};

struct Field {
  std::string key;   // "optimizer.schedule.kind"
  std::string unit;  // "sequences"; empty: none
  Effect effect = Effect::kResults;
  std::string sentence;  // what it does, and what it costs
  // What ResolveConfig lets pass, as written; everything else is refused as not built yet. Empty: all is built.
  std::vector<std::string> built;

  // From the codec.
  std::string type;
  std::string allowed;
  nlohmann::ordered_json schema;
  std::function<absl::Status(const YamlNode&, Config&)> read;  // the message lacks key and place
  std::function<std::string(const Config&)> write;

  std::string FirstPart() const { return key.substr(0, key.find('.')); }
  // "optimizer.schedule" of "optimizer.schedule.kind"; "" of "precision".
  std::string Section() const {
    const size_t dot = key.rfind('.');
    return dot == std::string::npos ? "" : key.substr(0, dot);
  }

  Field&& Built(std::vector<std::string> values) && {
    built = std::move(values);
    return std::move(*this);
  }
};

// `get(Config&)` gives a reference to the value.
template <typename T, typename Get>
Field Declare(std::string key, Get get, Codec<T> codec, std::string unit, Effect effect, std::string sentence) {
  Field field{std::move(key), std::move(unit), effect, std::move(sentence)};
  field.type = codec.type;
  field.allowed = codec.allowed;
  field.schema = codec.schema;
  field.read = [get, read = codec.read](const YamlNode& node, Config& config) -> absl::Status {
    STOWAGE_ASSIGN_OR_RETURN(get(config), read(node));
    return absl::OkStatus();
  };
  field.write = [get, write = codec.write](const Config& config) {
    return write(get(const_cast<Config&>(config)));  // `get` only reads here; one accessor serves both ways
  };
  return field;
}

// Key and place of a member in one: STOWAGE_FIELD(model.width) is "model.width", and where it lies in Config.
#define STOWAGE_FIELD(path) \
#path, [](Config & c) -> auto& { return c.path; }
// The same where the key is not the member's path.
#define STOWAGE_MEMBER(path) \
  [](Config & c) -> auto& { return c.path; }

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_FIELD_H_
