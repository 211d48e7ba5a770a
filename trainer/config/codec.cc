#include "trainer/config/codec.h"

#include <charconv>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/expand.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

absl::Status OutOfRange(const std::string& allowed, const YamlNode& found) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", allowed, ", found ", found.Describe()));
}

bool IsPlainScalar(const YamlNode& node) { return node.kind == YamlNode::Kind::kScalar && !node.quoted; }

bool LooksWhole(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty()) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return true;
}

std::optional<double> AsNumber(const YamlNode& node) {
  double value = 0;
  // A digit or a point first: "inf", "nan" and hexadecimal are not what anybody means here.
  const size_t start = absl::StartsWith(node.text, "-") || absl::StartsWith(node.text, "+") ? 1 : 0;
  if (!IsPlainScalar(node) || start >= node.text.size()) return std::nullopt;
  const char first = node.text[start];
  if (!absl::ascii_isdigit(first) && first != '.') return std::nullopt;
  if (node.text.find_first_of("xX") != std::string::npos) return std::nullopt;
  if (!absl::SimpleAtod(node.text, &value)) return std::nullopt;
  return value;
}

std::string Allowed(int64_t min, int64_t max) {
  if (max == std::numeric_limits<int64_t>::max()) return absl::StrCat(min, " or more");
  return absl::StrCat(min, " to ", max);
}

std::string Allowed(const NumberRange& range) {
  const std::string low = absl::StrCat(range.min_open ? "above " : "at least ", WriteNumber(range.min));
  if (std::isinf(range.max)) return low;
  return absl::StrCat(low, " and ", range.max_open ? "below " : "at most ", WriteNumber(range.max));
}

bool Holds(const NumberRange& range, double value) {
  if (!std::isfinite(value)) return false;
  if (range.min_open ? value <= range.min : value < range.min) return false;
  return range.max_open ? value < range.max : value <= range.max;
}

Json NumberSchema(const NumberRange& range) {
  Json schema = {{"type", "number"}};
  schema[range.min_open ? "exclusiveMinimum" : "minimum"] = range.min;
  if (!std::isinf(range.max)) schema[range.max_open ? "exclusiveMaximum" : "maximum"] = range.max;
  return schema;
}

// One value of `one`, or a list of them, which may be empty.
Codec<std::vector<std::string>> OneOrMore(const Codec<std::string>& one, const std::string& type,
                                          const std::string& allowed) {
  Codec<std::vector<std::string>> codec;
  codec.type = type;
  codec.allowed = allowed;
  codec.read = [one, allowed](const YamlNode& node) -> absl::StatusOr<std::vector<std::string>> {
    if (node.kind == YamlNode::Kind::kScalar) {
      STOWAGE_ASSIGN_OR_RETURN(std::string value, one.read(node));
      return std::vector<std::string>{std::move(value)};
    }
    if (node.kind != YamlNode::Kind::kList) return WrongType(allowed, node);
    std::vector<std::string> values;
    for (const YamlNode& item : node.items) {
      STOWAGE_ASSIGN_OR_RETURN(values.emplace_back(), one.read(item));
    }
    return values;
  };
  codec.write = [one](const std::vector<std::string>& values) {
    return absl::StrCat("[",
                        absl::StrJoin(values, ", ",
                                      [&one](std::string* out, const std::string& value) {
                                        // In a flow list a plain "a,b" would be two.
                                        absl::StrAppend(out, one.write(value));
                                      }),
                        "]");
  };
  codec.schema = {{"anyOf", Json::array({one.schema, Json{{"type", "array"}, {"items", one.schema}}})}};
  return codec;
}

}  // namespace

absl::Status WrongType(const std::string& wanted, const YamlNode& found) {
  std::string what = found.Describe();
  if (found.kind == YamlNode::Kind::kScalar && found.quoted) what = absl::StrCat("the text ", what);
  return absl::InvalidArgumentError(absl::StrCat("must be ", wanted, ", found ", what));
}

absl::Status AlsoAllowed(const std::string& word, const absl::Status& error) {
  std::string message(error.message());
  const size_t found = message.find(", found ");
  if (found != std::string::npos) message.insert(found, absl::StrCat(", or ", word));
  return absl::Status(error.code(), message);
}

bool IsWord(const YamlNode& node, const std::string& word) { return IsPlainScalar(node) && node.text == word; }

Json WordOr(const std::string& word, const Json& schema) {
  return {{"anyOf", Json::array({Json{{"const", word}}, schema})}};
}

// "1.0e-5" and not "1e-05": YAML 1.1 readers, Python's among them, take a number without a point for text.
std::string WriteNumber(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  std::string text(buffer, end);
  const size_t exponent = text.find('e');
  std::string digits = text.substr(0, exponent);
  if (!absl::StrContains(digits, '.')) digits += ".0";
  if (exponent == std::string::npos) return digits;
  const char sign = text[exponent + 1];
  const std::string power = text.substr(text.find_first_not_of('0', exponent + 2));
  return absl::StrCat(digits, "e", std::string(1, sign), power);
}

std::string WriteText(const std::string& value) {
  bool plain = !value.empty() && (absl::ascii_isalpha(value[0]) || value[0] == '/' || value[0] == '_');
  for (char c : value) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("_./+-", c)) plain = false;
  }
  for (const char* taken : {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "none", "auto", "all"}) {
    if (absl::EqualsIgnoreCase(value, taken)) plain = false;
  }
  if (plain) return value;
  // JSON's quoting is YAML's; bytes that are no UTF-8 would not survive either.
  return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Codec<int64_t> WholeNumber(int64_t min, int64_t max) {
  Codec<int64_t> codec;
  codec.type = "whole number";
  codec.allowed = Allowed(min, max);
  codec.read = [min, max, allowed = codec.allowed](const YamlNode& node) -> absl::StatusOr<int64_t> {
    if (!IsPlainScalar(node) || !LooksWhole(node.text)) return WrongType("a whole number", node);
    int64_t value = 0;
    if (!absl::SimpleAtoi(node.text, &value) || value < min || value > max) return OutOfRange(allowed, node);
    return value;
  };
  codec.write = [](int64_t value) { return absl::StrCat(value); };
  codec.schema = {{"type", "integer"}, {"minimum", min}};
  if (max != std::numeric_limits<int64_t>::max()) codec.schema["maximum"] = max;
  return codec;
}

Codec<double> Number(NumberRange range) {
  Codec<double> codec;
  codec.type = "number";
  codec.allowed = Allowed(range);
  codec.read = [range](const YamlNode& node) -> absl::StatusOr<double> {
    const std::optional<double> value = AsNumber(node);
    if (!value.has_value()) return WrongType("a number", node);
    if (!Holds(range, *value)) return OutOfRange(Allowed(range), node);
    return *value;
  };
  codec.write = WriteNumber;
  codec.schema = NumberSchema(range);
  return codec;
}

Codec<std::pair<double, double>> NumberPair(NumberRange range) {
  const Codec<double> one = Number(range);
  Codec<std::pair<double, double>> codec;
  codec.type = "two numbers";
  codec.allowed = absl::StrCat("each ", one.allowed);
  codec.read = [one](const YamlNode& node) -> absl::StatusOr<std::pair<double, double>> {
    if (node.kind != YamlNode::Kind::kList || node.items.size() != 2) {
      const std::string length =
          node.kind == YamlNode::Kind::kList ? absl::StrCat(" of ", node.items.size()) : std::string();
      return absl::InvalidArgumentError(
          absl::StrCat("must be a list of two numbers, such as [0.9, 0.95], found ", node.Describe(), length));
    }
    STOWAGE_ASSIGN_OR_RETURN(const double first, one.read(node.items[0]));
    STOWAGE_ASSIGN_OR_RETURN(const double second, one.read(node.items[1]));
    return std::make_pair(first, second);
  };
  codec.write = [](const std::pair<double, double>& value) {
    return absl::StrCat("[", WriteNumber(value.first), ", ", WriteNumber(value.second), "]");
  };
  codec.schema = {{"type", "array"}, {"items", one.schema}, {"minItems", 2}, {"maxItems", 2}};
  return codec;
}

Codec<bool> TrueOrFalse() {
  Codec<bool> codec;
  codec.type = "true or false";
  codec.read = [](const YamlNode& node) -> absl::StatusOr<bool> {
    if (IsWord(node, "true")) return true;
    if (IsWord(node, "false")) return false;
    return WrongType("true or false", node);
  };
  codec.write = [](bool value) { return value ? "true" : "false"; };
  codec.schema = {{"type", "boolean"}};
  return codec;
}

Codec<std::string> Choice(std::vector<std::string> choices) {
  Codec<std::string> codec;
  codec.type = "word";
  codec.allowed = absl::StrJoin(choices, ", ");
  codec.schema = {{"enum", choices}};
  codec.read = [choices = std::move(choices)](const YamlNode& node) -> absl::StatusOr<std::string> {
    if (node.kind == YamlNode::Kind::kScalar) {
      for (const std::string& choice : choices) {
        if (node.text == choice) return choice;
      }
    }
    return OutOfRange(absl::StrCat(choices.size() > 1 ? "one of " : "", absl::StrJoin(choices, ", ")), node);
  };
  codec.write = [](const std::string& value) { return value; };
  return codec;
}

Codec<std::string> Name() {
  Codec<std::string> codec = Text();
  codec.type = "name";
  codec.allowed = "letters, digits, \".\", \"_\" and \"-\", not starting with \".\"";
  codec.schema = {{"type", "string"}, {"pattern", "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"}};
  codec.read = [allowed = codec.allowed](const YamlNode& node) -> absl::StatusOr<std::string> {
    bool good = node.kind == YamlNode::Kind::kScalar && !node.text.empty() && node.text[0] != '.';
    for (char c : node.text) good = good && (absl::ascii_isalnum(c) || absl::StrContains("._-", c));
    if (!good) return WrongType(absl::StrCat("a name of ", allowed), node);
    return node.text;
  };
  return codec;
}

Codec<std::string> Text() {
  Codec<std::string> codec;
  codec.type = "text";
  codec.read = [](const YamlNode& node) -> absl::StatusOr<std::string> {
    if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) return WrongType("text", node);
    return node.text;
  };
  codec.write = WriteText;
  codec.schema = {{"type", "string"}, {"minLength", 1}};
  return codec;
}

Codec<std::string> Path() {
  Codec<std::string> codec = Text();
  codec.type = "path";
  codec.read = [](const YamlNode& node) -> absl::StatusOr<std::string> {
    if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) return WrongType("a path", node);
    return ExpandEnvironment(node.text);
  };
  codec.write = [](const std::string& value) { return WriteText(EscapeExpansion(value)); };
  return codec;
}

Codec<std::vector<std::string>> Paths() { return OneOrMore(Path(), "paths", "a path or a list of paths"); }

Codec<std::string> Tokenizer() {
  Codec<std::string> codec = Path();
  codec.type = "word or path";
  codec.allowed = "bytes, bpe, none, or a path that ends in .model";
  codec.read = [path = Path()](const YamlNode& node) -> absl::StatusOr<std::string> {
    STOWAGE_ASSIGN_OR_RETURN(std::string value, path.read(node));
    if (value == "bytes" || value == "bpe" || value == "none" || absl::EndsWith(value, ".model")) return value;
    return absl::InvalidArgumentError(
        absl::StrCat("must be bytes, bpe, none, or a path that ends in .model, found ", node.text));
  };
  return codec;
}

Codec<std::vector<std::string>> Columns() { return OneOrMore(Text(), "names", "a name or a list of names"); }

Codec<std::vector<std::string>> Patterns() { return OneOrMore(Text(), "names", "a name or a list of names, * for any letters"); }

Codec<std::string> EmptyAs(const std::string& word, const Codec<std::string>& codec) {
  const Codec<std::optional<std::string>> inner = Optional(word, codec);
  Codec<std::string> out;
  out.type = inner.type;
  out.allowed = inner.allowed;
  out.schema = inner.schema;
  out.read = [inner](const YamlNode& node) -> absl::StatusOr<std::string> {
    STOWAGE_ASSIGN_OR_RETURN(std::optional<std::string> value, inner.read(node));
    return value.value_or("");
  };
  out.write = [inner](const std::string& value) {
    return inner.write(value.empty() ? std::nullopt : std::optional<std::string>(value));
  };
  return out;
}

Codec<std::vector<int64_t>> Shape() {
  const Codec<int64_t> one = WholeNumber(1, int64_t{1} << 40);
  Codec<std::vector<int64_t>> codec;
  codec.type = "shape";
  codec.allowed = "a list of whole numbers, each 1 or more";
  codec.read = [one](const YamlNode& node) -> absl::StatusOr<std::vector<int64_t>> {
    if (node.kind != YamlNode::Kind::kList || node.items.empty()) {
      return WrongType("a list of whole numbers, [1, 28, 28]", node);
    }
    std::vector<int64_t> shape;
    for (const YamlNode& item : node.items) {
      STOWAGE_ASSIGN_OR_RETURN(shape.emplace_back(), one.read(item));
    }
    return shape;
  };
  codec.write = [](const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); };
  codec.schema = {{"type", "array"}, {"items", one.schema}, {"minItems", 1}};
  return codec;
}

}  // namespace stowage
