// model.options: a map of words to scalars, whose meaning only the model's kind knows.
#include <cmath>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/codec.h"

namespace stowage {
namespace {

absl::StatusOr<OptionValue> ReadOption(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar) return WrongType("a number, true, false or a text", node);
  if (const auto truth = TrueOrFalse().read(node); truth.ok()) return OptionValue(*truth);
  if (const auto whole = WholeNumber(std::numeric_limits<int64_t>::min()).read(node); whole.ok()) {
    return OptionValue(*whole);
  }
  if (const auto number = Number({-std::numeric_limits<double>::infinity()}).read(node); number.ok()) {
    return OptionValue(*number);
  }
  return OptionValue(node.text);
}

}  // namespace

std::string WriteOption(const OptionValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return absl::StrCat(v);
        } else if constexpr (std::is_same_v<T, double>) {
          return WriteNumber(v);
        } else {
          return WriteText(v);
        }
      },
      value);
}

Codec<ModelOptions> Options() {
  Codec<ModelOptions> codec;
  codec.type = "map of words to numbers, true, false or texts";
  codec.allowed = "what the kind declares";
  codec.read = [](const YamlNode& node) -> absl::StatusOr<ModelOptions> {
    if (node.kind != YamlNode::Kind::kMap) return WrongType("a map of options, {depth: 3}", node);
    ModelOptions options;
    for (const auto& [word, value] : node.entries) {
      absl::StatusOr<OptionValue> read = ReadOption(value);
      if (!read.ok()) return Annotate(read.status(), word);
      options[word] = *std::move(read);
    }
    return options;
  };
  codec.write = [](const ModelOptions& options) {
    return absl::StrCat("{",
                        absl::StrJoin(options, ", ",
                                      [](std::string* out, const auto& option) {
                                        absl::StrAppend(out, option.first, ": ", WriteOption(option.second));
                                      }),
                        "}");
  };
  codec.schema = {{"type", "object"},
                  {"additionalProperties", {{"type", nlohmann::ordered_json::array({"number", "boolean", "string"})}}}};
  return codec;
}

}  // namespace stowage
