#include "trainer/config/init_from.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "trainer/config/schema.h"
#include "trainer/config/yaml_tree.h"
#include "trainer/interop/hf_config.h"
#include "trainer/interop/hf_tokenizer.h"

namespace stowage {
namespace {

std::string At(const std::string& place) { return place.empty() ? "" : absl::StrCat(place, ": "); }

}  // namespace

absl::Status TakeInitFrom(const PlaceOfKey& place_of, Config& config) {
  const std::string& folder = config.model.init_from;
  if (folder.empty()) return absl::OkStatus();
  const std::string own_place = At(place_of("model.init_from"));
  const absl::StatusOr<std::vector<HfSetting>> settings = ReadHfConfig(folder);
  if (!settings.ok()) {
    return absl::Status(settings.status().code(),
                        absl::StrCat(own_place, "model.init_from: ", settings.status().message()));
  }
  for (const HfSetting& setting : *settings) {
    const Field* const field = FindField(setting.key);
    STOWAGE_CHECK(field != nullptr) << setting.key << " is no key of a config";
    Config theirs;
    STOWAGE_ASSIGN_OR_RETURN(const YamlNode node, ParseYaml(setting.value, folder));
    const absl::Status read = field->read(node, theirs);
    if (!read.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(own_place, "model.init_from: ", folder, "/config.json: ", setting.hf_key, ": ", read.message()));
    }
    const std::string place = place_of(setting.key), given = field->write(config), wanted = field->write(theirs);
    const bool is_given = !place.empty() && given != "auto";
    if (is_given && given != wanted && !(setting.may_be_less && config.model.context < theirs.model.context)) {
      return absl::InvalidArgumentError(absl::StrCat(At(place), setting.key, ": ", given, ", but model.init_from ",
                                                     folder, " has ", setting.hf_key, " ", wanted, "; leave ",
                                                     setting.key, " out", setting.may_be_less ? ", or give less" : ""));
    }
    if (!is_given) STOWAGE_RETURN_IF_ERROR(field->read(node, config));
  }
  // Text becomes tokens as it did for the folder's model. (Bytes are what auto means.)
  STOWAGE_ASSIGN_OR_RETURN(const HfTokenizerKind tokenizer, FindHfTokenizer(folder));
  if (tokenizer == HfTokenizerKind::kSentencepiece && config.data.tokenizer.empty()) {
    config.data.tokenizer = HfSentencepiecePath(folder);
  }
  return absl::OkStatus();
}

}  // namespace stowage
