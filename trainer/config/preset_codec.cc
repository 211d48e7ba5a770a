// The codec of `preset`.
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "trainer/config/codec.h"
#include "trainer/preset/preset.h"

namespace stowage {

Codec<std::vector<std::string>> Presets() {
  using Json = nlohmann::ordered_json;
  Codec<std::vector<std::string>> codec = Columns();
  codec.allowed = "transformer, cnn, rnn, by_memory, production, or a list of them; [] is none";
  const Json one = {{"enum", PresetNames()}};
  codec.schema = {{"anyOf", Json::array({one, Json{{"type", "array"}, {"items", one}}})}};
  codec.read = [read = codec.read](const YamlNode& node) -> absl::StatusOr<std::vector<std::string>> {
    STOWAGE_ASSIGN_OR_RETURN(std::vector<std::string> names, read(node));
    STOWAGE_RETURN_IF_ERROR(CheckPresets(names));
    return names;
  };
  return codec;
}

}  // namespace stowage
