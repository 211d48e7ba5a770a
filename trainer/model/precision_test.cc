#include "trainer/model/precision.h"

#include <gtest/gtest.h>

#include "trainer/model/gpt2.h"

namespace stowage {
namespace {

Model Tiny() {
  ModelConfig config;
  config.layers = 2;
  config.width = 32;
  config.heads = 4;
  config.context = 12;
  config.ffn = 64;
  config.vocabulary = 50;
  return *MakeGpt2(config);
}

// Names of the segments that compute in fp32.
std::vector<std::string> Fp32Segments(const Model& model) {
  std::vector<std::string> names;
  for (const SegmentSpec& segment : model.segments) {
    if (segment.compute == at::kFloat) names.push_back(segment.name);
  }
  return names;
}

TEST(ApplyPrecisionTest, Bf16IsForEverySegmentAndFp32ForNone) {
  Model model = Tiny();
  ASSERT_TRUE(ApplyPrecision("bf16", {}, &model).ok());
  EXPECT_TRUE(Fp32Segments(model).empty());
  ASSERT_TRUE(ApplyPrecision("fp32", {}, &model).ok());
  EXPECT_EQ(Fp32Segments(model).size(), model.segments.size());
}

TEST(ApplyPrecisionTest, SegmentsAreNamedOrMeantByAPattern) {
  const struct {
    std::vector<std::string> asked, fp32;
  } cases[] = {
      {{"head"}, {"head"}},
      {{"head", "layer.1.ffn"}, {"layer.1.ffn", "head"}},
      {{"*.attn"}, {"layer.0.attn", "layer.1.attn"}},
      {{"layer.0.*"}, {"layer.0.attn", "layer.0.ffn"}},
      {{"*ea*"}, {"head"}},
      {{"layer.*.f*n"}, {"layer.0.ffn", "layer.1.ffn"}},
      {{"*"}, {"embedding", "layer.0.attn", "layer.0.ffn", "layer.1.attn", "layer.1.ffn", "head"}},
  };
  for (const auto& c : cases) {
    Model model = Tiny();
    ASSERT_TRUE(ApplyPrecision("bf16", c.asked, &model).ok()) << c.asked[0];
    EXPECT_EQ(Fp32Segments(model), c.fp32) << c.asked[0];
  }
}

TEST(ApplyPrecisionTest, ANameThatNoSegmentHasIsRefusedWithTheNearestAndChangesNothing) {
  Model model = Tiny();
  const absl::Status status = ApplyPrecision("bf16", std::vector<std::string>{"head", "layer.1.atn"}, &model);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "fp32_segments: no segment of this model is called layer.1.atn; did you mean layer.1.attn?");
  EXPECT_EQ(Fp32Segments(model).size(), model.segments.size());
  EXPECT_EQ(
      ApplyPrecision("bf16", std::vector<std::string>{"decoder*"}, &model).message(),
      "fp32_segments: no segment of this model is called decoder*; they go from embedding to head, see plan.json");
  // Not only where it would matter: a config that is switched to fp32 and back keeps its checks.
  EXPECT_FALSE(ApplyPrecision("fp32", std::vector<std::string>{"haed"}, &model).ok());
}

TEST(ApplyPrecisionTest, AnotherPrecisionIsRefused) {
  Model model = Tiny();
  EXPECT_EQ(ApplyPrecision("fp16", {}, &model).message(), "precision: 'fp16'; write fp32 or bf16");
}

TEST(Bf16ParametersTest, NormsStayInFp32AndATiedMatrixIsWantedByTheHeadAlone) {
  Model model = Tiny();
  ASSERT_TRUE(ApplyPrecision("bf16", std::vector<std::string>{"layer.0.ffn"}, &model).ok());
  const std::vector<std::vector<bool>> wanted = Bf16Parameters(model);
  ASSERT_EQ(wanted.size(), model.groups.size());
  for (size_t g = 0; g < wanted.size(); ++g) {
    for (size_t i = 0; i < wanted[g].size(); ++i) {
      const std::string& name = model.groups[g].parameters[i].name;
      const bool norm = name.find("norm") != std::string::npos;
      // Positions serve the embedding alone, which reads masters.
      const bool fp32_only = name.find("layer.0.ffn") == 0 || name == "embedding.position.weight";
      EXPECT_EQ(wanted[g][i], !norm && !fp32_only) << name;
    }
  }
  ASSERT_TRUE(ApplyPrecision("bf16", std::vector<std::string>{"head"}, &model).ok());
  EXPECT_EQ(Bf16Parameters(model)[0], std::vector<bool>({false, false}));
}

}  // namespace
}  // namespace stowage
