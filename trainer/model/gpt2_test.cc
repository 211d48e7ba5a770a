#include "trainer/model/gpt2.h"

#include <gtest/gtest.h>

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

// Bias-free projections with biased norms and a free head.
int64_t CountWithBiasFreeProjections(int64_t layers, int64_t width, int64_t vocabulary, int64_t context) {
  ModelConfig config;
  config.layers = layers;
  config.width = width;
  config.heads = 8;
  config.context = context;
  config.ffn = 4 * width;
  config.vocabulary = vocabulary;
  config.bias = false;
  config.norm_bias = true;
  config.tie = false;
  return Count(*MakeGpt2(config));
}

TEST(Gpt2Test, BiasFreeProjectionsWithBiasedNormsGiveTheCountsOfTheReferenceTransformers) {
  EXPECT_EQ(CountWithBiasFreeProjections(6, 512, 10000, 256), 29258752);
  EXPECT_EQ(CountWithBiasFreeProjections(12, 1024, 20000, 512), 192530432);
  EXPECT_EQ(CountWithBiasFreeProjections(8, 768, 10000, 512), 72402432);
}

}  // namespace
}  // namespace stowage
