#include "trainer/schedule/recompute_policy.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "trainer/schedule/planner.h"

namespace stowage {
namespace {

using Kind = RecomputePolicy::Kind;
using Names = std::vector<std::string>;

Names Transformer(int layers) {
  Names names = {"embedding"};
  for (int l = 0; l < layers; ++l) {
    names.push_back(absl::StrCat("layer.", l, ".attn"));
    names.push_back(absl::StrCat("layer.", l, ".ffn"));
  }
  names.push_back("head");
  return names;
}

// "1-3(1-2 2-3)".
std::string Text(const RecomputeSpans& spans) {
  std::string text;
  for (const RecomputeSpan& span : spans) {
    absl::StrAppend(&text, text.empty() ? "" : " ", span.first, "-", span.end);
    if (!span.inner.empty()) absl::StrAppend(&text, "(", Text(span.inner), ")");
  }
  return text;
}

std::string SpansText(const RecomputePolicy& policy, const Names& names) {
  const auto spans = SpansOf(policy, names);
  return spans.ok() ? Text(*spans) : std::string(spans.status().message());
}

TEST(RecomputePolicyTest, EachPolicyChoosesItsSegments) {
  const Names names = Transformer(2);  // 6 segments
  EXPECT_EQ(SpansText({Kind::kNone}, names), "");
  EXPECT_EQ(SpansText({Kind::kEvery}, names), "0-1 1-2 2-3 3-4 4-5 5-6");
  EXPECT_EQ(SpansText({Kind::kEvery, 4}, names), "0-4 4-6");
  EXPECT_EQ(SpansText({Kind::kLayer}, names), "1-3 3-5");
  EXPECT_EQ(SpansText({Kind::kAttention}, names), "1-2 3-4");
  EXPECT_EQ(SpansText({Kind::kFeedForward}, names), "2-3 4-5");
  EXPECT_EQ(SpansText({Kind::kSqrt}, names), "0-3 3-6");
  EXPECT_EQ(SpansText({Kind::kSqrt2}, names), "0-3(0-2 2-3) 3-6(3-5 5-6)");
  EXPECT_EQ(SpansText({Kind::kSegments, 1, {"layer.1.*", "emb*"}}, names), "0-1 3-4 4-5");
}

TEST(RecomputePolicyTest, SixtyFourSegmentsMakeEightSpansAndEachOfThemThreeInnerOnes) {
  const Names names = Transformer(31);
  const auto one = SpansOf({Kind::kSqrt}, names), two = SpansOf({Kind::kSqrt2}, names);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->size(), 8u);
  for (const RecomputeSpan& span : *one) EXPECT_EQ(span.end - span.first, 8);
  for (const RecomputeSpan& span : *two) EXPECT_EQ(span.inner.size(), 3u);
}

TEST(RecomputePolicyTest, NamesOfOnesOwnModelSayLayersAndKinds) {
  EXPECT_EQ(SpansText({Kind::kLayer}, {"stem", "block.0.a", "block.0.b", "block.1", "loss"}), "1-3 3-4");
  EXPECT_EQ(SpansText({Kind::kAttention}, {"encoder.0.self_attention", "encoder.0.mlp", "loss"}), "0-1");
  EXPECT_EQ(SpansText({Kind::kFeedForward}, {"encoder.0.self_attention", "encoder.0.mlp", "loss"}), "1-2");
}

TEST(RecomputePolicyTest, WhatAModelDoesNotHaveIsNamed) {
  const Names own = {"stem", "body", "loss"};
  EXPECT_EQ(SpansText({Kind::kAttention}, own),
            "attention: no segment of this model has a name that ends in .attn or .attention; they are stem, body, "
            "loss. Name those to be recomputed in a list, or write every");
  EXPECT_EQ(SpansText({Kind::kFeedForward}, own).find("ffn: no segment"), 0u);
  EXPECT_EQ(SpansText({Kind::kLayer}, own).find("layer: no segment"), 0u);
  EXPECT_EQ(SpansText({Kind::kSegments, 1, {"bodi"}}, own),
            "no segment of this model is called bodi; did you mean body?");
  EXPECT_EQ(SpansText({Kind::kSegments, 1, {"zebra"}}, own),
            "no segment of this model is called zebra; they are stem, body, loss");
  EXPECT_EQ(SpansText({Kind::kSegments, 1, {"loss"}}, own).find("loss is the last segment"), 0u);
}

TEST(RecomputePolicyTest, ForwardsAreCountedAsThePlannerWritesThem) {
  for (int layers : {0, 1, 2, 3, 7, 15}) {
    const Names names = Transformer(layers);
    std::vector<RecomputePolicy> policies = {
        {Kind::kNone}, {Kind::kEvery}, {Kind::kEvery, 3}, {Kind::kSqrt}, {Kind::kSqrt2}};
    if (layers > 0) policies.insert(policies.end(), {{Kind::kLayer}, {Kind::kAttention}, {Kind::kFeedForward}});
    for (const RecomputePolicy& policy : policies) {
      const auto spans = SpansOf(policy, names);
      ASSERT_TRUE(spans.ok()) << spans.status();
      ModelShape model;
      model.segments = names;
      model.groups_used.resize(names.size());
      model.recompute = *spans;
      std::vector<int> played(names.size());
      for (const Instruction& i : WriteTrainStep(model, 1).instructions) {
        if (i.op == Op::kForward || i.op == Op::kRecompute) ++played[i.target];
      }
      EXPECT_EQ(ForwardsOf(*spans, static_cast<int>(names.size())), played)
          << static_cast<int>(policy.kind) << " " << layers;
      EXPECT_EQ(played.back(), 1);
    }
  }
}

TEST(RecomputePolicyTest, EvenSpansCoverAllOnce) {
  EXPECT_EQ(Text(EvenSpans(2, 12, 3)), "2-6 6-9 9-12");
  EXPECT_EQ(Text(EvenSpans(0, 1, 1)), "0-1");
}

}  // namespace
}  // namespace stowage
