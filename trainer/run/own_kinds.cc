#include "trainer/run/own_kinds.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/data/builtin_source.h"
#include "trainer/executor/exceptions.h"

namespace stowage {
namespace {

absl::Status CheckWord(const std::string& what, const std::string& name) {
  bool good = !name.empty() && absl::ascii_isalpha(name[0]);
  for (char c : name) good = good && (absl::ascii_isalnum(c) || c == '_' || c == '-');
  for (const char* taken : {"none", "auto", "true", "false", "null"}) good = good && name != taken;
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " \"", name,
                                                 "\": a name is letters, digits, \"_\" and \"-\", "
                                                 "starts with a letter, and is no word of YAML's or a config's"));
}

}  // namespace

absl::Status CheckOwnKinds(const OwnKinds& own) {
  const ModelKinds built_in = BuiltInModelKinds();
  for (const auto& [name, kind] : own.models) {
    STOWAGE_RETURN_IF_ERROR(CheckWord("model kind", name));
    if (built_in.count(name) > 0) {
      return absl::InvalidArgumentError(absl::StrCat("model kind ", name, " is built in; give yours another name"));
    }
    if (!kind.make) return absl::InvalidArgumentError(absl::StrCat("model kind ", name, " has no factory"));
    for (const auto& option : kind.options) {
      STOWAGE_RETURN_IF_ERROR(CheckWord(absl::StrCat("option of model kind ", name), option.first));
    }
  }
  for (const auto& [name, source] : own.data) {
    STOWAGE_RETURN_IF_ERROR(CheckWord("data source", name));
    if (CheckBuiltinSource(name).ok()) {
      return absl::InvalidArgumentError(absl::StrCat("data source ", name, " is built in; give yours another name"));
    }
    if (!source) return absl::InvalidArgumentError(absl::StrCat("data source ", name, " has no function"));
  }
  return absl::OkStatus();
}

Registered RegisteredOf(const OwnKinds& own) {
  Registered registered;
  for (const auto& [name, kind] : own.models) registered.models[name] = kind.options;
  for (const auto& source : own.data) registered.data_sources.push_back(source.first);
  return registered;
}

absl::StatusOr<Model> MakeOwnModel(const OwnKinds& own, const ModelConfig& config) {
  const auto found = own.models.find(config.kind);
  if (found == own.models.end()) {
    ModelKinds all = BuiltInModelKinds();
    all.insert(own.models.begin(), own.models.end());
    return MakeModel(all, config);
  }
  absl::StatusOr<Model> model = absl::InternalError("the factory did not return");
  const absl::Status thrown = CatchExceptions([&] { model = found->second.make(config); });
  const absl::Status status = thrown.ok() ? model.status() : thrown;
  if (!status.ok()) return Annotate(status, absl::StrCat("model kind ", config.kind));
  return model;
}

}  // namespace stowage
