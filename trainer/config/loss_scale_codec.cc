// train.loss_scale: none, dynamic, or a number.
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/config/codec.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

// Beyond it the scale itself is no fp32 number.
constexpr NumberRange kScales = {0.0, 1e38, true};

absl::StatusOr<LossScaleValue> ReadLossScale(const YamlNode& node) {
  LossScaleValue value;
  if (IsWord(node, "none")) return value;
  if (IsWord(node, "dynamic")) {
    value.kind = LossScaleValue::Kind::kDynamic;
    return value;
  }
  const absl::StatusOr<double> number = Number(kScales).read(node);
  if (!number.ok()) return AlsoAllowed("dynamic", AlsoAllowed("none", number.status()));
  value.kind = LossScaleValue::Kind::kFixed;
  value.fixed = *number;
  return value;
}

std::string WriteLossScale(const LossScaleValue& value) {
  switch (value.kind) {
    case LossScaleValue::Kind::kNone:
      return "none";
    case LossScaleValue::Kind::kDynamic:
      return "dynamic";
    case LossScaleValue::Kind::kFixed:
      return WriteNumber(value.fixed);
  }
  return "?";
}

}  // namespace

Codec<LossScaleValue> LossScale() {
  Codec<LossScaleValue> codec;
  codec.type = "number";
  codec.allowed = absl::StrCat("none, dynamic, or ", Number(kScales).allowed);
  codec.read = ReadLossScale;
  codec.write = WriteLossScale;
  codec.schema = {{"anyOf", Json::array({Json{{"enum", {"none", "dynamic"}}}, Number(kScales).schema})}};
  return codec;
}

}  // namespace stowage
