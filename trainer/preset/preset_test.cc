#include "trainer/preset/preset.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20, kGiB = int64_t{1} << 30, kGB = 1'000'000'000;

PresetFigures Figures(std::vector<std::string> names, int64_t host_bytes = 24 * kGiB, int ranks = 1,
                      int64_t layers = 24, int64_t context = 2048) {
  const auto figures = FiguresOf({std::move(names), layers, context, host_bytes, ranks});
  EXPECT_TRUE(figures.ok()) << figures.status();
  return figures.value_or(PresetFigures());
}

TEST(PresetTest, TransformerOf24LayersHas8SpansChunks512AndFlash) {
  const PresetFigures figures = Figures({"transformer"});
  EXPECT_EQ(figures.recompute_spans, 8);
  EXPECT_EQ(figures.attention_chunk, 512);
  EXPECT_EQ(figures.flash, true);
  EXPECT_EQ(figures.pool_bytes, 4 * kGiB);
  EXPECT_EQ(Figures({"transformer"}, kGB, 1, 12).recompute_spans, 4);
  EXPECT_EQ(Figures({"transformer"}, kGB, 1, 2).recompute_spans, 1);
}

TEST(PresetTest, TransformerOfShortSequencesHasTheirLengthAsChunkAndNoFlash) {
  EXPECT_EQ(Figures({"transformer"}, kGB, 1, 12, 1024).flash, false);
  EXPECT_EQ(Figures({"transformer"}, kGB, 1, 12, 1025).flash, true);
  EXPECT_EQ(Figures({"transformer"}, kGB, 1, 12, 256).attention_chunk, 256);
}

TEST(PresetTest, CnnAndRnn) {
  EXPECT_EQ(Figures({"cnn"}).recompute_spans, 2);
  EXPECT_EQ(Figures({"cnn"}).recompute, true);
  EXPECT_EQ(Figures({"cnn"}).pool_bytes, 2 * kGiB);
  EXPECT_EQ(Figures({"rnn"}).recompute, false);
  EXPECT_EQ(Figures({"rnn"}).pool_bytes, kGiB);
  EXPECT_EQ(Figures({"rnn"}).sequence_chunk, 100);
}

TEST(PresetTest, MachinesOf64And32And24GBHaveThreeSets) {
  const PresetFigures large = Figures({"by_memory"}, 64 * kGB), middle = Figures({"by_memory"}, 32 * kGB),
                      small = Figures({"by_memory"}, 24 * kGB);
  EXPECT_EQ(large.pool_bytes, 8 * kGiB);
  EXPECT_EQ(large.attention_chunk, 1024);
  EXPECT_EQ(large.recompute_spans, 2);
  EXPECT_EQ(middle.pool_bytes, 4 * kGiB);
  EXPECT_EQ(middle.attention_chunk, 512);
  EXPECT_EQ(middle.recompute_spans, 4);
  EXPECT_EQ(small.pool_bytes, 2 * kGiB);
  EXPECT_EQ(small.attention_chunk, 256);
  EXPECT_EQ(small.recompute_spans, 8);
}

TEST(PresetTest, PoolsAreAHostsDividedByItsRanks) {
  EXPECT_EQ(Figures({"by_memory"}, 24 * kGB, 4).pool_bytes, 512 * kMiB);
  EXPECT_EQ(Figures({"production"}, 24 * kGiB, 1).pool_bytes, 12 * kGiB);
  EXPECT_EQ(Figures({"production"}, 24 * kGiB, 4).pool_bytes, 3 * kGiB);
}

TEST(PresetTest, ProductionWinsOverByMemoryOnlyWhenAskedFor) {
  EXPECT_EQ(Figures({"by_memory"}).pool_bytes, 2 * kGiB);
  EXPECT_EQ(Figures({"by_memory", "production"}).pool_bytes, 12 * kGiB);
  EXPECT_EQ(Figures({"production", "by_memory"}).pool_bytes, 12 * kGiB);
}

TEST(PresetTest, UnknownIsRefusedWithTheNearestName) {
  const absl::Status status = FiguresOf({{"transfomer"}, 12, 256, kGB, 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "there is no preset transfomer; did you mean transformer?");
  EXPECT_FALSE(CheckPresets({"cnn", "rnn"}).ok());
}

TEST(PresetTest, WhatIsNotInForceIsSaid) {
  const auto lines = PresetLines({{"transformer"}, 24, 2048, 24 * kGiB, 1});
  ASSERT_TRUE(lines.ok());
  EXPECT_EQ(lines->front(), "preset transformer: would recompute 8 spans; memory.recompute decides");
  EXPECT_TRUE(absl::StrContains(absl::StrJoin(*lines, "\n"), "would hold a rank's pool to 4 GiB"));
  EXPECT_TRUE(PresetLines({{}, 24, 2048, 24 * kGiB, 1})->empty());
  const std::string production = absl::StrJoin(*PresetLines({{"production"}, 24, 2048, 24 * kGiB, 4}), "\n");
  EXPECT_TRUE(absl::StrContains(production, "3 GiB a rank")) << production;
}

}  // namespace
}  // namespace stowage
