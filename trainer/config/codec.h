// What a value may be: how it is read from YAML, written back, described, and put into the JSON Schema.
//
// A field is a codec and a place in Config (field.h). A codec's `read` answers with what is wrong without naming key
// or place ("must be a whole number, found 1.5"); the caller puts them in front. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_CONFIG_CODEC_H_
#define STOWAGE_TRAINER_CONFIG_CODEC_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "trainer/config/config.h"
#include "trainer/config/yaml_tree.h"

namespace stowage {

template <typename T>
struct Codec {
  std::string type;     // "whole number"
  std::string allowed;  // "1 to 64", "cpu, cuda or auto"; empty: anything of the type
  std::function<absl::StatusOr<T>(const YamlNode&)> read;
  std::function<std::string(const T&)> write;  // YAML, in one line, which `read` takes back to the same value
  nlohmann::ordered_json schema;
};

// Both ends belong to it. A `max` of int64's largest value means no bound.
Codec<int64_t> WholeNumber(int64_t min, int64_t max = std::numeric_limits<int64_t>::max());

// Finite numbers between `min` and `max`, whose ends belong to it or not.
struct NumberRange {
  double min = 0.0;
  double max = std::numeric_limits<double>::infinity();
  bool min_open = false;
  bool max_open = false;
};
Codec<double> Number(NumberRange range);
Codec<std::pair<double, double>> NumberPair(NumberRange range);  // [0.9, 0.95]

Codec<bool> TrueOrFalse();
Codec<std::string> Choice(std::vector<std::string> choices);
Codec<std::string> Name();                // letters, digits and ._- : it becomes a folder
Codec<std::string> Text();                // not empty
Codec<std::string> Path();                // ${ENV} is put in
Codec<std::string> Tokenizer();           // bytes, bpe, none, or the path of a .model file
Codec<std::vector<std::string>> Paths();  // a path or a list of paths; [] is none
Codec<std::vector<std::string>> Patterns();  // a name or a list of names, * for any letters; [] is none
Codec<std::vector<std::string>> Columns();  // a name or a list of names; [] is none
Codec<std::vector<std::string>> Presets();  // a preset or a list of presets; [] is none
Codec<std::vector<int64_t>> Shape();      // [1, 28, 28]: one whole number or more, each 1 or more
Codec<BudgetValue> Budget();              // "6GiB", "80%", auto
Codec<LossScaleValue> LossScale();        // none, dynamic, or a number above 0
Codec<ModelOptions> Options();              // {depth: 3, name: text}
Codec<std::string> Recompute();           // none, every, ..., {every: k}, a list of segments

// `codec`, or `word` for no value. A quoted "word" is text, not the word.
template <typename T>
Codec<std::optional<T>> Optional(const std::string& word, const Codec<T>& codec);
Codec<std::string> EmptyAs(const std::string& word, const Codec<std::string>& codec);  // "" is no value

// Helpers of codecs.
absl::Status WrongType(const std::string& wanted, const YamlNode& found);
std::string WriteNumber(double value);            // shortest that reads back to the same bits
std::string WriteOption(const OptionValue& value);
std::string WriteText(const std::string& value);  // in quotes where YAML would take it for something else
// "must be 1 or more, found 0" becomes "must be 1 or more, or auto, found 0".
absl::Status AlsoAllowed(const std::string& word, const absl::Status& error);
bool IsWord(const YamlNode& node, const std::string& word);
nlohmann::ordered_json WordOr(const std::string& word, const nlohmann::ordered_json& schema);

template <typename T>
Codec<std::optional<T>> Optional(const std::string& word, const Codec<T>& codec) {
  Codec<std::optional<T>> out;
  out.type = codec.type;
  out.allowed = absl::StrCat(codec.allowed.empty() ? codec.type : codec.allowed, ", or ", word);
  out.read = [word, codec](const YamlNode& node) -> absl::StatusOr<std::optional<T>> {
    if (IsWord(node, word)) return std::optional<T>();
    absl::StatusOr<T> value = codec.read(node);
    if (!value.ok()) return AlsoAllowed(word, value.status());
    return std::optional<T>(*std::move(value));
  };
  out.write = [word, codec](const std::optional<T>& value) { return value.has_value() ? codec.write(*value) : word; };
  out.schema = WordOr(word, codec.schema);
  return out;
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_CODEC_H_
