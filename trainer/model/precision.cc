#include "trainer/model/precision.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/config/name_pattern.h"
#include "trainer/config/nearest.h"

namespace stowage {
namespace {

absl::Status NoSuchSegment(const std::string& pattern, const Model& model) {
  std::vector<std::string> names;
  for (const SegmentSpec& segment : model.segments) names.push_back(segment.name);
  STOWAGE_CHECK(!names.empty());
  const std::string nearest = Nearest(pattern, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "fp32_segments: no segment of this model is called ", pattern, "; ",
      nearest.empty() ? absl::StrCat("they go from ", names.front(), " to ", names.back(), ", see plan.json")
                      : absl::StrCat("did you mean ", nearest, "?")));
}

std::vector<std::vector<bool>> ParametersIn(at::ScalarType dtype, const Model& model) {
  std::vector<std::vector<bool>> wanted;
  for (const GroupSpec& group : model.groups) wanted.emplace_back(group.parameters.size(), false);
  for (const SegmentSpec& segment : model.segments) {
    for (const ParameterId& id : segment.parameters) {
      const bool kept = model.groups[id.group].parameters[id.parameter].keep_fp32;
      if ((kept ? at::kFloat : segment.parameter_dtype()) == dtype) wanted[id.group][id.parameter] = true;
    }
  }
  return wanted;
}

}  // namespace

absl::Status ApplyPrecision(const std::string& precision, absl::Span<const std::string> fp32_segments, Model* model) {
  if (precision != "fp32" && precision != "bf16") {
    return absl::InvalidArgumentError(absl::StrCat("precision: '", precision, "'; write fp32 or bf16"));
  }
  std::vector<bool> fp32(model->segments.size(), precision == "fp32");
  for (const std::string& pattern : fp32_segments) {
    bool found = false;
    for (size_t s = 0; s < model->segments.size(); ++s) {
      if (!MatchesPattern(model->segments[s].name, pattern)) continue;
      found = true;
      fp32[s] = true;
    }
    if (!found) return NoSuchSegment(pattern, *model);
  }
  for (size_t s = 0; s < fp32.size(); ++s) model->segments[s].compute = fp32[s] ? at::kFloat : at::kBFloat16;
  return absl::OkStatus();
}

std::vector<std::vector<bool>> Bf16Parameters(const Model& model) {
  return ParametersIn(at::kBFloat16, model);
}

std::vector<std::vector<bool>> Fp32Parameters(const Model& model) { return ParametersIn(at::kFloat, model); }

}  // namespace stowage
