#include "trainer/breakdown/profile.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace stowage {
namespace {

InstructionPrediction Of(const std::string& phase, const std::string& label, int64_t live, int64_t peak) {
  InstructionPrediction row;
  row.phase = phase;
  row.label = label;
  row.total_live_bytes = live;
  row.total_peak_bytes = peak;
  return row;
}

TEST(ProfileTest, StartIsWhatTheInstructionBeforeLeftAndRiseIsBeyondIt) {
  Prediction prediction;
  prediction.instructions = {Of("first step", "update", 100, 400), Of("step", "forward a", 150, 160),
                             Of("step", "forward b", 220, 300), Of("step", "backward b", 110, 240),
                             Of("eval", "forward a", 500, 900)};
  const MemoryProfile profile = ProfileOf(prediction, "step");
  EXPECT_EQ(profile.start_bytes, 100);
  EXPECT_EQ(profile.peak_bytes, 300);
  EXPECT_EQ(profile.rise_bytes(), 200);
  ASSERT_EQ(profile.timeline.size(), 3u);
  EXPECT_EQ(profile.timeline[2].rise_bytes, 140);
  EXPECT_EQ(profile.timeline[2].change_bytes, -110);
  EXPECT_EQ(ProfileLines(profile).size(), 6u);
}

TEST(ProfileTest, HowOftenASegmentIsRunAgainIsSaid) {
  Prediction prediction;
  prediction.recompute = "none";
  prediction.instructions = {Of("step", "forward a", 1, 2), Of("step", "backward a", 1, 2)};
  EXPECT_TRUE(absl::StrContains(ProfileLines(ProfileOf(prediction, "step")).back(), "none: no segment is run again"));
  prediction.recompute = "every";
  prediction.instructions.push_back(Of("step", "recompute a", 1, 2));
  prediction.instructions.push_back(Of("eval", "recompute a", 1, 2));
  EXPECT_EQ(ProfileOf(prediction, "step").recomputations, 1);
  EXPECT_TRUE(absl::StrContains(ProfileLines(ProfileOf(prediction, "step")).back(), "every: 1 times a segment"));
}

TEST(ProfileTest, TheHighestAreShownInTheOrderInWhichTheyArePlayed) {
  Prediction prediction;
  for (int i = 0; i < 30; ++i) prediction.instructions.push_back(Of("step", "i" + std::to_string(i), i, i));
  const MemoryProfile profile = ProfileOf(prediction, "step");
  ASSERT_EQ(profile.timeline.size(), 20u);
  EXPECT_EQ(profile.timeline.front().label, "i10");
  EXPECT_EQ(profile.timeline.back().number, 30);
}

TEST(ProfileTest, APeakBetweenInstructionsCounts) {
  Prediction prediction;
  prediction.instructions = {Of("step", "forward", 10, 20)};
  prediction.phases.push_back({"step", {}, 25, ""});
  EXPECT_EQ(ProfileOf(prediction, "step").peak_bytes, 25);
}

TEST(ProfileTest, NothingRehearsedIsSaid) {
  EXPECT_TRUE(absl::StrContains(ProfileLines(ProfileOf(Prediction(), "step"))[0], "no instructions"));
}

}  // namespace
}  // namespace stowage
