#include "trainer/model/gpt2.h"

#include <gtest/gtest.h>

#include <set>

#include "trainer/model/model_kinds.h"

namespace stowage {
namespace {

ModelConfig Gpt2Small() {
  ModelConfig config;
  config.layers = 12;
  config.width = 768;
  config.heads = 12;
  config.context = 1024;
  config.ffn = 3072;
  config.vocabulary = 50257;
  return config;
}

int64_t Count(const Model& model) {
  int64_t count = 0;
  for (const GroupSpec& g : model.groups) {
    for (const ParameterSpec& p : g.parameters) count += p.numel();
  }
  return count;
}

TEST(Gpt2Test, HasThePublishedNumberOfParameters) { EXPECT_EQ(Count(*MakeGpt2(Gpt2Small())), 124439808); }

TEST(Gpt2Test, FreeHeadAndNoBiasesChangeTheCountByTheirSizes) {
  ModelConfig config = Gpt2Small();
  config.tie = false;
  EXPECT_EQ(Count(*MakeGpt2(config)), 124439808 + 50257 * 768);
  config.tie = true;
  config.bias = false;
  // Per layer: two norms, qkv, out, up, down; and the final norm.
  EXPECT_EQ(Count(*MakeGpt2(config)), 124439808 - 12 * (768 + 768 + 2304 + 768 + 3072 + 768) - 768);
}

TEST(Gpt2Test, NamesAreUniqueAndEveryParameterIsUsed) {
  for (bool tie : {false, true}) {
    ModelConfig config = Gpt2Small();
    config.tie = tie;
    const Model model = *MakeGpt2(config);
    std::set<std::string> names;
    std::set<std::pair<int, int>> used;
    size_t parameters = 0;
    for (const GroupSpec& g : model.groups) {
      for (const ParameterSpec& p : g.parameters) names.insert(p.name);
      parameters += g.parameters.size();
    }
    for (const SegmentSpec& s : model.segments) {
      for (const ParameterId& id : s.parameters) used.insert({id.group, id.parameter});
    }
    EXPECT_EQ(names.size(), parameters);
    EXPECT_EQ(used.size(), parameters);
    EXPECT_EQ(model.segments.size(), 2u * 12 + 2);
  }
}

TEST(ModelKindsTest, AnUnknownKindNamesTheKindsThereAre) {
  ModelConfig config = Gpt2Small();
  config.kind = "gpt9";
  const absl::Status status = MakeModel(BuiltInModelKinds(), config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("gpt9"), std::string::npos);
  EXPECT_NE(status.message().find("gpt2"), std::string::npos);
}

}  // namespace
}  // namespace stowage
