// The codecs of the memory section: budgets and what is recomputed.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "trainer/config/codec.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

// Less is no budget but a forgotten unit: "host: 6".
constexpr int64_t kSmallestBudget = int64_t{1} << 20;

absl::StatusOr<BudgetValue> ReadBudget(const YamlNode& node) {
  BudgetValue value;
  if (node.kind != YamlNode::Kind::kScalar) return WrongType("bytes such as 6GiB, a share such as 80%, or auto", node);
  if (node.text == "auto") return value;
  absl::string_view text = node.text;
  if (absl::ConsumeSuffix(&text, "%")) {
    value.kind = BudgetValue::Kind::kPercent;
    const bool number = !text.empty() && absl::ascii_isdigit(text[0]) && absl::SimpleAtod(text, &value.percent);
    if (!number || !(value.percent > 0.0 && value.percent <= 100.0)) {
      return absl::InvalidArgumentError(absl::StrCat("must be above 0% and at most 100%, found ", node.Describe()));
    }
    return value;
  }
  value.kind = BudgetValue::Kind::kBytes;
  STOWAGE_ASSIGN_OR_RETURN(value.bytes, ParseByteSize(text));
  if (value.bytes < kSmallestBudget) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be at least 1MiB, found ", value.bytes, " bytes; write for example 6GiB or 80%"));
  }
  return value;
}

std::string WriteBudget(const BudgetValue& value) {
  switch (value.kind) {
    case BudgetValue::Kind::kAuto:
      return "auto";
    case BudgetValue::Kind::kBytes:
      return ExactByteSize(value.bytes);
    case BudgetValue::Kind::kPercent: {
      const std::string number = WriteNumber(value.percent);
      return absl::StrCat(absl::StripSuffix(number, ".0"), "%");
    }
  }
  return "?";
}

constexpr const char* kRecomputeWords[] = {"none", "every", "layer", "sqrt", "sqrt2", "attention", "ffn", "auto"};

absl::StatusOr<std::string> ReadRecomputeEvery(const YamlNode& node) {
  for (const auto& [key, value] : node.entries) {
    if (key != "every") return absl::InvalidArgumentError(absl::StrCat("knows {every: k}, found the key ", key));
  }
  const YamlNode* every = node.Find("every");
  if (every == nullptr) return absl::InvalidArgumentError("must be {every: k}, found an empty map");
  STOWAGE_ASSIGN_OR_RETURN(const int64_t segments, WholeNumber(1).read(*every));
  return absl::StrCat("{every: ", segments, "}");
}

absl::StatusOr<std::string> ReadRecompute(const YamlNode& node) {
  const std::string words = absl::StrJoin(kRecomputeWords, ", ");
  switch (node.kind) {
    case YamlNode::Kind::kMap:
      return ReadRecomputeEvery(node);
    case YamlNode::Kind::kList: {
      std::vector<std::string> segments;
      for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::kScalar || item.text.empty())
          return WrongType("a list of segment names", item);
        segments.push_back(WriteText(item.text));
      }
      if (segments.empty()) return absl::InvalidArgumentError("is an empty list of segments; write none");
      return absl::StrCat("[", absl::StrJoin(segments, ", "), "]");
    }
    case YamlNode::Kind::kScalar:
      for (const char* word : kRecomputeWords) {
        if (node.text == word) return node.text;
      }
      [[fallthrough]];
    case YamlNode::Kind::kNull:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("must be one of ", words, ", {every: k} or a list of segment names, found ", node.Describe()));
}

}  // namespace

Codec<BudgetValue> Budget() {
  Codec<BudgetValue> codec;
  codec.type = "bytes";
  codec.allowed = "bytes such as 6GiB (1MiB or more), a share such as 80%, or auto";
  codec.read = ReadBudget;
  codec.write = WriteBudget;
  const Json size = {{"type", "string"}, {"pattern", "^([0-9.]+( ?([KkMmGgTtPp][Ii]?)?[Bb])?|[0-9.]+%|auto)$"}};
  codec.schema = {{"anyOf", Json::array({size, Json{{"type", "integer"}, {"minimum", kSmallestBudget}}})}};
  return codec;
}

Codec<std::string> Recompute() {
  Codec<std::string> codec;
  codec.type = "policy";
  codec.allowed = absl::StrCat(absl::StrJoin(kRecomputeWords, ", "), ", {every: k} or a list of segment names");
  codec.read = ReadRecompute;
  codec.write = [](const std::string& value) { return value; };
  const Json every = {{"type", "object"},
                      {"properties", {{"every", {{"type", "integer"}, {"minimum", 1}}}}},
                      {"required", Json::array({"every"})},
                      {"additionalProperties", false}};
  const Json list = {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1}};
  codec.schema = {{"anyOf", Json::array({Json{{"enum", kRecomputeWords}}, every, list})}};
  return codec;
}

}  // namespace stowage
