// What is said about the keys covers every key.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "trainer/config/load.h"
#include "trainer/config/schema.h"

namespace stowage {
namespace {

TEST(SchemaTest, KeysAreUniqueAndEachHasItsSectionAndSentence) {
  std::set<std::string> seen;
  for (const Field& field : Fields()) {
    EXPECT_TRUE(seen.insert(field.key).second) << field.key;
    EXPECT_NE(FindSection(field.Section()), nullptr) << field.key;
    EXPECT_TRUE(absl::EndsWith(field.sentence, ".")) << field.key;
    EXPECT_FALSE(field.type.empty()) << field.key;
  }
  EXPECT_GT(seen.size(), 40u);
}

TEST(SchemaTest, EveryFieldOwnsAMemberOfItsOwn) {
  // A declaration copied and not changed would write another key's member.
  for (const Field& field : Fields()) {
    int changed = 0;
    for (const char* value : {"7",    "0.25",  "true", "false",  "sqrt", "cpu",  "jsonl", "word",  "3GiB", "[0.1, 0.2]",
                              "bf16", "micro", "fill", "linear", "sgd",  "disk", "mpi",   "llama", "kjv",  "2",
                              "gru",  "mse",   "[7]",  "{depth: 2}", "fused", "planned", "rnn"}) {
      Config config;
      const auto node = ParseYaml(value, "v");
      ASSERT_TRUE(node.ok());
      if (!field.read(*node, config).ok() || field.write(config) == field.write(Config())) continue;
      ++changed;
      for (const Field& other : Fields()) {
        EXPECT_EQ(other.write(config) != other.write(Config()), other.key == field.key)
            << field.key << " changed " << other.key;
      }
    }
    const int choices = field.key == "data.tokenizer" ? 0 : 1;  // which has but its default
    EXPECT_GE(changed, choices) << field.key << ": no value of the list suits";
  }
}

TEST(SchemaTest, EveryDefaultIsAllowed) {
  for (const Field& field : Fields()) {
    Config config;
    const auto node = ParseYaml(field.write(config), "v");
    ASSERT_TRUE(node.ok()) << field.key;
    const absl::Status read = field.read(*node, config);
    EXPECT_TRUE(read.ok()) << field.key << ": " << read;
  }
}

TEST(DescribeTest, HelpHasEveryKeyWithDefaultAndSentence) {
  const std::string help = ConfigHelp();
  for (const Field& field : Fields()) {
    EXPECT_TRUE(absl::StrContains(help, absl::StrCat("  ", field.key, ": "))) << field.key;
    EXPECT_TRUE(absl::StrContains(help, absl::StrCat("[", field.write(Config()), "]"))) << field.key;
    EXPECT_TRUE(absl::StrContains(help, field.sentence.substr(0, field.sentence.find(' ')))) << field.key;
  }
  for (absl::string_view line : absl::StrSplit(help, '\n')) EXPECT_LE(line.size(), 120u) << line;
}

TEST(DescribeTest, YamlHasEveryKey) {
  const std::string yaml = ConfigToYaml(Config());
  for (const Field& field : Fields()) {
    EXPECT_TRUE(absl::StrContains(yaml, absl::StrCat(field.key.substr(field.key.rfind('.') + 1), ": "))) << field.key;
  }
}

TEST(DescribeTest, JsonSchemaIsJsonAndCoversEveryKeyAndNothingElse) {
  const auto schema = nlohmann::json::parse(ConfigJsonSchema(), nullptr, false);
  ASSERT_FALSE(schema.is_discarded());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  size_t leaves = 0;
  for (const Field& field : Fields()) {
    nlohmann::json node = schema;
    for (absl::string_view part : absl::StrSplit(field.key, '.')) {
      EXPECT_EQ(node["additionalProperties"], false) << field.key;
      node = node["properties"][std::string(part)];
      ASSERT_TRUE(node.is_object()) << field.key;
    }
    EXPECT_TRUE(absl::StartsWith(node["description"].get<std::string>(), field.sentence)) << field.key;
    EXPECT_TRUE(node.contains("type") || node.contains("enum") || node.contains("anyOf")) << field.key;
    EXPECT_TRUE(node.contains("default")) << field.key;
    ++leaves;
  }
  const std::vector<nlohmann::json> top(1, schema);
  size_t found = 0;
  std::vector<nlohmann::json> open = top;
  while (!open.empty()) {
    const nlohmann::json node = open.back();
    open.pop_back();
    for (const auto& [word, child] : node["properties"].items()) {
      if (child.contains("properties")) {
        open.push_back(child);
      } else if (word != "include") {
        ++found;
      }
    }
  }
  EXPECT_EQ(found, leaves);
}

// Under Bazel the page lies among the runfiles; started by hand, in the repository.
std::string ReadPage() {
  const char* runfiles = std::getenv("TEST_SRCDIR");
  std::ifstream in(runfiles != nullptr ? absl::StrCat(runfiles, "/stowage/docs/config.md") : "docs/config.md");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(DescribeTest, TheDocumentedKeysAreTheDeclaredOnes) {
  EXPECT_EQ(ReadPage(), ConfigMarkdown()) << "run: bazel run //trainer/config:print_markdown > docs/config.md";
}

}  // namespace
}  // namespace stowage
