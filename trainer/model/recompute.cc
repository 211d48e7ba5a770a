#include "trainer/model/recompute.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {
namespace {

constexpr char kKey[] = "memory.recompute";

}  // namespace

absl::StatusOr<RecomputePolicy> ParseRecomputePolicy(const std::string& text) {
  using Kind = RecomputePolicy::Kind;
  const struct {
    const char* word;
    Kind kind;
  } words[] = {{"auto", Kind::kNone},           {"none", Kind::kNone},      {"every", Kind::kEvery},
               {"layer", Kind::kLayer},         {"sqrt", Kind::kSqrt},      {"sqrt2", Kind::kSqrt2},
               {"attention", Kind::kAttention}, {"ffn", Kind::kFeedForward}};
  RecomputePolicy policy;
  for (const auto& [word, kind] : words) {
    if (text != word) continue;
    policy.kind = kind;
    return policy;
  }
  STOWAGE_ASSIGN_OR_RETURN(const YamlNode node, ParseYaml(text, kKey));
  if (const YamlNode* every = node.Find("every"); every != nullptr) {
    policy.kind = Kind::kEvery;
    if (absl::SimpleAtoi(every->text, &policy.every) && policy.every >= 1) return policy;
  }
  if (node.kind == YamlNode::Kind::kList && !node.items.empty()) {
    policy.kind = Kind::kSegments;
    for (const YamlNode& item : node.items) policy.segments.push_back(item.text);
    return policy;
  }
  return absl::InvalidArgumentError(absl::StrCat(kKey, ": ", text, " is no policy"));
}

absl::Status ApplyRecompute(const std::string& text, Model* model, const std::map<std::string, std::string>& places) {
  STOWAGE_ASSIGN_OR_RETURN(const RecomputePolicy policy, ParseRecomputePolicy(text));
  std::vector<std::string> names;
  for (const SegmentSpec& segment : model->segments) names.push_back(segment.name);
  absl::StatusOr<RecomputeSpans> spans = SpansOf(policy, names);
  if (!spans.ok()) {
    auto place = places.find(kKey);
    if (const int item = FirstWithoutSegment(policy, names); item >= 0) {
      if (const auto of_item = places.find(absl::StrCat(kKey, ".", item)); of_item != places.end()) place = of_item;
    }
    const absl::Status status = Annotate(spans.status(), kKey);
    return place == places.end() ? status : Annotate(status, place->second);
  }
  model->recompute = *std::move(spans);
  return absl::OkStatus();
}

}  // namespace stowage
