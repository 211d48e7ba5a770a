#include "trainer/module/model_builder.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr char kLossName[] = "loss";

absl::Status CheckName(const std::string& name) {
  bool good = !name.empty();
  for (char c : name) good = good && (absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.');
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("segment \"", name, "\": a name is letters, digits, \".\", \"_\" and \"-\""));
}

// Remembers who holds what, to find the second holder.
class Holders {
 public:
  absl::Status Enter(const ModuleSegment& segment, const std::string& segment_name) {
    const std::vector<const void*> identities = segment.identities();
    for (size_t i = 0; i < identities.size(); ++i) {
      const std::string& name = segment.parameters()[i].name;
      const auto [other, is_new] = holders_.emplace(identities[i], name);
      if (!is_new) {
        return absl::InvalidArgumentError(absl::StrCat(
            "parameters ", other->second, " and ", name,
            " are the same tensor: modules that share parameters over "
            "segments are not supported; let each segment's function make its own, or put both into one segment"));
      }
      STOWAGE_RETURN_IF_ERROR(EnterName(name));
    }
    for (const auto& buffer : segment.Buffers()) STOWAGE_RETURN_IF_ERROR(EnterName(buffer.first));
    return absl::OkStatus();
  }

 private:
  absl::Status EnterName(const std::string& name) {
    if (names_.insert(name).second) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("two parameters or buffers are called ", name));
  }

  std::map<const void*, std::string> holders_;
  std::set<std::string> names_;
};

}  // namespace

ModelBuilder& ModelBuilder::Input(std::vector<std::string> names) {
  input_ = std::move(names);
  return *this;
}

absl::StatusOr<Model> ModelBuilder::Build() {
  if (parts_.empty()) return absl::InvalidArgumentError("the model has no segment: ModelBuilder::Add adds one");
  if (!loss_) return absl::InvalidArgumentError("the model has no loss: ModelBuilder::Loss sets it");
  Model model;
  Holders holders;
  std::set<std::string> names = {kLossName};
  std::string before;
  for (Part& part : parts_) {
    STOWAGE_RETURN_IF_ERROR(CheckName(part.name));
    if (!names.insert(part.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two segments are called ", part.name, part.name == kLossName ? " (the loss is one)" : ""));
    }
    STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<ModuleSegment> segment,
                             ModuleSegment::Create(part.name, std::move(part.make), before, input_));
    STOWAGE_RETURN_IF_ERROR(holders.Enter(*segment, part.name));
    SegmentSpec spec;
    spec.name = before = part.name;
    if (!segment->parameters().empty()) {
      GroupSpec group;
      group.name = part.name;
      group.parameters = segment->parameters();
      group.initial_values = [owner = segment.get()](uint64_t seed) { return owner->InitialValues(seed); };
      const int index = static_cast<int>(model.groups.size());
      for (int i = 0; i < static_cast<int>(group.parameters.size()); ++i) spec.parameters.push_back({index, i});
      model.groups.push_back(std::move(group));
    }
    spec.segment = std::move(segment);
    model.segments.push_back(std::move(spec));
  }
  if (model.groups.empty()) return absl::InvalidArgumentError("the model has no parameter: there is nothing to train");
  SegmentSpec loss;
  loss.name = kLossName;
  loss.segment = std::make_unique<LossSegment>(std::move(loss_), before);
  model.segments.push_back(std::move(loss));
  *this = ModelBuilder();
  return model;
}

}  // namespace stowage
