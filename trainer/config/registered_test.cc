// Words that a program brings: kinds of models, their options, sources of data.
#include "trainer/config/registered.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "trainer/config/load.h"

namespace stowage {
namespace {

Registered MyWords() {
  Registered registered;
  registered.models["my_net"] = {{"depth", OptionValue(int64_t{3})},
                                 {"rate", OptionValue(0.5)},
                                 {"norm", OptionValue(std::string("group"))},
                                 {"skip", OptionValue(true)}};
  registered.data_sources = {"my_data"};
  return registered;
}

absl::StatusOr<Config> Parse(const std::string& model, const std::vector<std::string>& sets = {},
                             const std::string& data = "{source: my_data}") {
  return ParseConfig("model: " + model + "\ndata: " + data + "\ntrain: {steps: 5}\n", "a.yaml", sets, MyWords());
}

std::string MessageOf(const std::string& model, const std::vector<std::string>& sets = {},
                      const std::string& data = "{source: my_data}") {
  const auto config = Parse(model, sets, data);
  if (!config.ok()) return std::string(config.status().message());
  return std::string(ResolveWithoutData(*config, MyWords()).status().message());
}

TEST(RegisteredTest, OptionsAreReadWithTheirDefaultsAndComeBackFromTheYamlWritten) {
  const auto config = Parse("{kind: my_net, options: {depth: 5, rate: 1}}", {"model.options.norm=batch"});
  ASSERT_TRUE(config.ok()) << config.status();
  const auto resolved = ResolveConfig(*config, DataShape(), MyWords());
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const ModelOptions expected = {{"depth", OptionValue(int64_t{5})},
                                 {"rate", OptionValue(1.0)},
                                 {"norm", OptionValue(std::string("batch"))},
                                 {"skip", OptionValue(true)}};
  EXPECT_EQ(resolved->model.options, expected);
  const auto again = ParseConfig(ConfigToYaml(*resolved), "config.yaml", {}, MyWords());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(ConfigDifferences(*again, *resolved).empty());
  EXPECT_EQ(again->model.options, expected);
}

TEST(RegisteredTest, AnUnknownKindSaysWhereAndTheNearestAndAll) {
  const std::string message = MessageOf("{kind: my_met}");
  EXPECT_TRUE(absl::StrContains(message, "a.yaml:1:15: model.kind: must be one of gpt2, ")) << message;
  EXPECT_TRUE(absl::StrContains(message, "or this program's my_net, found my_met; did you mean my_net?")) << message;
  EXPECT_TRUE(absl::StrContains(MessageOf("{kind: gpt3}"), "did you mean gpt2?"));
  // Known nowhere else.
  const auto alone = ParseConfig("model: {kind: my_net}\ndata: {source: kjv}\ntrain: {steps: 5}\n", "a.yaml");
  EXPECT_TRUE(absl::StrContains(alone.status().message(), "found my_net")) << alone.status();
}

TEST(RegisteredTest, AnUnknownSourceSaysTheNearest) {
  const std::string message = MessageOf("{kind: my_net}", {}, "{source: my_dat}");
  EXPECT_TRUE(absl::StrContains(message, "or this program's my_data, found my_dat; did you mean my_data?")) << message;
}

TEST(RegisteredTest, AWrongOptionSaysWhereAndWhatIsAllowed) {
  EXPECT_EQ(MessageOf("{kind: my_net, options: {detph: 5}}"),
            "a.yaml:1:33: model.options.detph: model kind my_net has no such option; did you mean depth?");
  EXPECT_EQ(MessageOf("{kind: my_net, options: {zoom: 5}}"),
            "a.yaml:1:33: model.options.zoom: model kind my_net has no such option; it has depth, norm, rate, skip");
  EXPECT_EQ(MessageOf("{kind: my_net, options: {depth: deep}}"),
            "a.yaml:1:33: model.options.depth: must be a whole number, found deep (a text)");
  EXPECT_EQ(MessageOf("{kind: my_net}", {"model.options.depth=2.5"}),
            "--set model.options.depth=2.5: model.options.depth: must be a whole number, found 2.5 (a number)");
  EXPECT_EQ(MessageOf("{kind: my_net, options: {depth: [1]}}"),
            "a.yaml:1:32: model.options: depth: must be a number, true, false or a text, found a list");
  EXPECT_TRUE(absl::StrContains(MessageOf("{kind: gpt2, options: {depth: 5}}"), "model.options"));
}

TEST(RegisteredTest, AnOwnSourceMayHavePathsOfItsOwn) {
  EXPECT_EQ(MessageOf("{kind: my_net}", {}, "{source: my_data, train: [a.bin]}"), "");
}

TEST(RegisteredTest, HelpAndSchemaKnowTheWords) {
  const std::string help = ConfigHelp(MyWords());
  for (const char* part :
       {"my_net", "model.options.depth: a whole number [3]", "model.options.rate: a number [0.5]",
        "model.options.norm: a text [group]", "model.options.skip: true or false [true]", "my_data"}) {
    EXPECT_TRUE(absl::StrContains(help, part)) << part;
  }
  const auto schema = nlohmann::json::parse(ConfigJsonSchema(MyWords()));
  EXPECT_TRUE(absl::StrContains(schema["properties"]["model"]["properties"]["kind"].dump(), "\"my_net\""));
  EXPECT_TRUE(absl::StrContains(schema["properties"]["data"]["properties"]["source"].dump(), "\"my_data\""));
}

}  // namespace
}  // namespace stowage
