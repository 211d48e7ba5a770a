// What people and editors read about the keys: help, docs/config.md, JSON Schema.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "trainer/config/load.h"
#include "trainer/config/registered.h"
#include "trainer/config/schema.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

const char* EffectWords(Effect effect) {
  switch (effect) {
    case Effect::kResults:
      return "results";
    case Effect::kSpeed:
      return "speed or memory";
    case Effect::kRecord:
      return "neither";
  }
  return "?";
}

// "whole number of layers, 1 to 10000".
std::string TypeWords(const Field& field) {
  std::string words = field.type;
  if (!field.unit.empty()) absl::StrAppend(&words, " (", field.unit, ")");
  return words;
}

std::string Default(const Field& field) { return field.write(Config()); }

std::string NotBuilt(const Field& field) {
  if (field.built.empty()) return "";
  return absl::StrCat(" Built so far: ", absl::StrJoin(field.built, ", "), ".");
}

// `text` in lines of at most 100 columns.
std::string Wrapped(const std::string& text, const std::string& indent) {
  std::string out;
  std::string line;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > 100) {
      absl::StrAppend(&out, indent, line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  return absl::StrCat(out, indent, line, "\n");
}

// The schema node in which `section`'s properties stand; sections on the way are made.
Json& SectionSchema(const std::string& section, Json& root) {
  Json* node = &root;
  std::vector<std::string> path;
  if (section.empty()) return root;
  for (absl::string_view part : absl::StrSplit(section, '.')) {
    path.emplace_back(part);
    Json& child = (*node)["properties"][path.back()];
    if (child.is_null()) {
      child = {{"type", "object"},
               {"description", FindSection(absl::StrJoin(path, "."))->sentence},
               {"additionalProperties", false},
               {"properties", Json::object()}};
    }
    node = &child;
  }
  return *node;
}

// Defaults are shown as they would be written; only plain JSON values can be given as such.
void AddDefault(const Field& field, Json& schema) {
  const std::string text = Default(field);
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  schema["default"] = value.is_discarded() ? Json(text) : value;
}

}  // namespace

std::string ConfigHelp(const Registered& registered) {
  std::string out =
      "Keys of a config. In brackets the default; then what changes with the value: the results, speed or memory, or "
      "neither.\nAt the top, `include: other.yaml` (or a list) takes keys from other files: maps merge, later keys "
      "win, "
      "lists replace.\n";
  for (const Section& section : Sections()) {
    absl::StrAppend(&out, "\n", section.key.empty() ? "(top)" : section.key, "\n", Wrapped(section.sentence, "  "));
    for (const Field& field : Fields()) {
      if (field.Section() != section.key) continue;
      absl::StrAppend(&out, "\n  ", field.key, ": ", TypeWords(field), " [", Default(field), "] ",
                      EffectWords(field.effect), "\n");
      if (!field.allowed.empty()) absl::StrAppend(&out, Wrapped(absl::StrCat("Allowed: ", field.allowed), "      "));
      absl::StrAppend(&out, Wrapped(absl::StrCat(field.sentence, NotBuilt(field)), "      "));
    }
  }
  absl::StrAppend(&out, RegisteredHelp(registered));
  return out;
}

std::string ConfigMarkdown() {
  std::string out =
      "# Keys of a config\n\n"
      "<!-- Written by `bazel run //trainer/config:print_markdown > docs/config.md` from the declarations in "
      "trainer/config/schema*.cc; a test compares. -->\n\n"
      "An experiment is a YAML map of the sections below. A key that is not written has its default; an unknown key is "
      "an error.\n\n"
      "- `include: other.yaml` (or a list of files), at the top, takes keys from other files, named relative to the "
      "file that includes them. Maps merge, later keys win, lists replace; a file's own keys win over what it "
      "includes.\n"
      "- `--set key.path=value` on the command line wins over every file.\n"
      "- `${NAME}` is replaced from the environment in paths, and nowhere else; an unset name is an error, `$${` "
      "stands for `${`. Paths of data are relative to the folder in which the program runs.\n"
      "- `auto` follows the fixed rule given with the key. The rule's result is printed, and written to the run's "
      "`config.yaml`.\n"
      "- Sizes are bytes with a unit, `6GiB` or `1.5GB`; plain digits are bytes.\n"
      "- *Built so far* lists the values that work today. Another value is read and checked, and then refused by name "
      "before anything starts.\n\n"
      "*Changes* says what another value changes: the **results** (losses and weights), **speed or memory** only, or "
      "**neither**.\n";
  for (const Section& section : Sections()) {
    absl::StrAppend(&out, "\n## ", section.key.empty() ? "Top" : absl::StrCat("`", section.key, "`"), "\n\n",
                    section.sentence, "\n\n", "| key | type | default | allowed | changes | what it does |\n",
                    "|---|---|---|---|---|---|\n");
    for (const Field& field : Fields()) {
      if (field.Section() != section.key) continue;
      const std::string sentence = absl::StrReplaceAll(absl::StrCat(field.sentence, NotBuilt(field)), {{"|", "\\|"}});
      absl::StrAppend(&out, "| `", field.key, "` | ", TypeWords(field), " | `", Default(field), "` | ", field.allowed,
                      " | ", EffectWords(field.effect), " | ", sentence, " |\n");
    }
  }
  return out;
}

std::string ConfigJsonSchema(const Registered& registered) {
  Json root = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
               {"title", "Stowage experiment"},
               {"type", "object"},
               {"additionalProperties", false},
               {"properties", Json::object()}};
  const Json path = {{"type", "string"}, {"minLength", 1}};
  root["properties"]["include"] = {{"anyOf", Json::array({path, Json{{"type", "array"}, {"items", path}}})},
                                   {"description", "Files whose keys lie under this file's; relative to this file."}};
  for (const Field& field : Fields()) {
    Json schema = field.schema;
    if (const std::vector<std::string> own = registered.WordsFor(field.key); !own.empty()) {
      schema = {{"anyOf", Json::array({schema, Json{{"enum", own}}})}};
    }
    schema["description"] = absl::StrCat(field.sentence, NotBuilt(field));
    if (!field.unit.empty()) schema["x-unit"] = field.unit;
    schema["x-changes"] = EffectWords(field.effect);
    AddDefault(field, schema);
    const std::string word = field.key.substr(field.key.rfind('.') + 1);
    SectionSchema(field.Section(), root)["properties"][word] = std::move(schema);
  }
  return absl::StrCat(root.dump(2), "\n");
}

}  // namespace stowage
