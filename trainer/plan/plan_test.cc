#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "trainer/plan/example_prediction.h"
#include "trainer/plan/memory_drawing.h"
#include "trainer/plan/plan_html.h"
#include "trainer/plan/plan_json.h"
#include "trainer/plan/plan_text.h"
#include "trainer/plan/plan_words.h"

namespace stowage {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Text(const Prediction& prediction) { return absl::StrJoin(PlanLines(prediction), "\n"); }

TEST(PlanJsonTest, WhatIsReadIsWhatWasWritten) {
  for (Prediction prediction : {ExamplePrediction(), AwkwardPrediction(40), Prediction()}) {
    prediction.machine_remark = "a \"remark\"\n";
    const std::string text = PredictionJson(prediction);
    const absl::StatusOr<Prediction> read = ParsePrediction(text);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(PredictionJson(*read), text);
    EXPECT_EQ(read->fits(), prediction.fits());
    EXPECT_EQ(read->rss_peak_bytes, prediction.rss_peak_bytes);
    EXPECT_EQ(read->instructions.size(), prediction.instructions.size());
    EXPECT_EQ(read->assumed.size(), prediction.assumed.size());
    EXPECT_EQ(read->schedules.size(), prediction.schedules.size());
  }
}

TEST(PlanJsonTest, WhatIsNoPredictionIsRefusedWithThePlace) {
  const std::string good = PredictionJson(ExamplePrediction());
  for (size_t cut = 0; cut + 2 < good.size(); cut += 97) {
    const absl::StatusOr<Prediction> read = ParsePrediction(good.substr(0, cut));
    EXPECT_TRUE(absl::IsInvalidArgument(read.status())) << cut;
  }
  const auto error = [&](const std::string& from, const std::string& to) {
    const std::string bad = absl::StrReplaceAll(good, {{from, to}});
    EXPECT_NE(bad, good) << from;
    return std::string(ParsePrediction(bad).status().message());
  };
  EXPECT_THAT(error("\"world_size\"", "\"word_size\""), HasSubstr("world_size"));
  EXPECT_THAT(error("\"tensors_peak_bytes\": ", "\"tensors_peak_bytes\": true, \"x\": "),
              HasSubstr("tensors_peak_bytes"));
  EXPECT_THAT(error("\"format\": 1", "\"format\": 2"), HasSubstr("format"));
}

TEST(PlanTextTest, ARefusalSaysWhatIsShortAndWhatHelps) {
  const Prediction prediction = ExamplePrediction();
  ASSERT_FALSE(prediction.fits());
  const std::string text = Text(prediction);
  EXPECT_THAT(text, HasSubstr("does not fit"));
  EXPECT_THAT(text, HasSubstr("short by 32 MiB"));
  const absl::Status refusal = Refusal(prediction);
  EXPECT_TRUE(absl::IsResourceExhausted(refusal));
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("short by 32 MiB"));
  ASSERT_FALSE(prediction.hints.empty());
  for (const Hint& hint : prediction.hints) EXPECT_THAT(std::string(refusal.message()), HasSubstr(hint.key));
  EXPECT_EQ(refusal.message().find('\n'), std::string::npos);
}

TEST(PlanTextTest, WhatIsNotKnownIsNotZero) {
  Prediction prediction = ExamplePrediction();
  prediction.outside.clear();
  prediction.rss_peak_bytes.reset();
  prediction.budgets[0].limit_bytes.reset();
  EXPECT_THAT(Text(prediction), HasSubstr("no peak resident is predicted"));
  EXPECT_THAT(Text(prediction), HasSubstr("no bound"));
  EXPECT_TRUE(Refusal(prediction).ok());
  EXPECT_FALSE(PlanLines(Prediction()).empty());
}

TEST(PlanTextTest, AnEstimateSaysWhy) {
  Prediction prediction = ExamplePrediction();
  prediction.machine_remark = "this machine was not calibrated";
  EXPECT_THAT(Text(prediction), HasSubstr("this machine was not calibrated"));
}

TEST(PlanTextTest, WhatWasNotMeasuredAndWhatWasProvedAreSaidEverywhere) {
  const Prediction prediction = ExamplePrediction();
  for (const std::string& said : {Text(prediction), PlanHtml(prediction)}) {
    EXPECT_THAT(said, HasSubstr("Assumed, not measured"));
    EXPECT_THAT(said, HasSubstr("aten::convolution, on up to 300 MiB"));
    EXPECT_THAT(said,
                HasSubstr("proved sound: train step (2 micro-batches, 26 instructions), evaluation (1 micro-batch"));
    EXPECT_THAT(said, HasSubstr("first over it: train step, instruction 4"));
  }
  const Prediction none;
  for (const std::string& said : {Text(none), PlanHtml(none)}) {
    for (const char* words : {"Assumed", "proved", "first over"}) EXPECT_THAT(said, Not(HasSubstr(words)));
  }
}

TEST(PlanTextTest, WhereNothingHelpsThatIsSaid) {
  Prediction prediction = ExamplePrediction();
  EXPECT_THAT(Text(prediction), Not(HasSubstr(kNothingHelps)));
  for (const bool some : {true, false}) {
    if (some) prediction.hints = {{"precision", "fp32", "bf16", 1, false, ""}};
    if (!some) prediction.hints.clear();
    EXPECT_THAT(Text(prediction), HasSubstr(kNothingHelps));
    EXPECT_THAT(PlanHtml(prediction), HasSubstr(kNothingHelps));
    EXPECT_THAT(std::string(Refusal(prediction).message()), HasSubstr(kNothingHelps));
  }
}

TEST(PlanTextTest, EveryInstructionIsALine) {
  const Prediction prediction = AwkwardPrediction(2000);
  EXPECT_GE(InstructionLines(prediction).size(), prediction.instructions.size());
  EXPECT_TRUE(InstructionLines(Prediction()).empty());
}

TEST(MemoryDrawingTest, NamesAreEscapedAndTheBudgetIsThere) {
  for (const int instructions : {1, 40, 2000}) {
    const std::string svg = MemoryDrawing(AwkwardPrediction(instructions));
    EXPECT_THAT(svg, HasSubstr("<svg"));
    EXPECT_THAT(svg, HasSubstr("</svg>"));
    EXPECT_THAT(svg, HasSubstr("<path"));
    EXPECT_THAT(svg, Not(HasSubstr("</script>")));
    EXPECT_LT(svg.size(), size_t{1} << 20);  // columns of several instructions where there are many
    EXPECT_EQ(svg, MemoryDrawing(AwkwardPrediction(instructions)));
  }
  EXPECT_THAT(MemoryDrawing(ExamplePrediction()), HasSubstr("memory.host"));
  EXPECT_THAT(MemoryDrawing(Prediction()), HasSubstr("</svg>"));
}

TEST(PlanHtmlTest, ThePageHoldsAllOfItAndLoadsNothing) {
  const Prediction prediction = AwkwardPrediction(60);
  const std::string page = PlanHtml(prediction);
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy"));
  for (const char* outside : {"src=\"http", "href=\"http", "@import", "url(http"})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  // One script and no more: no name of an instruction ends it.
  size_t scripts = 0;
  for (size_t at = page.find("</script"); at != std::string::npos; at = page.find("</script", at + 1)) ++scripts;
  size_t starts = 0;
  for (size_t at = page.find("<script"); at != std::string::npos; at = page.find("<script", at + 1)) ++starts;
  EXPECT_EQ(scripts, starts);
  EXPECT_EQ(page, PlanHtml(prediction));
  EXPECT_THAT(PlanHtml(Prediction()), HasSubstr("</html>"));
}

}  // namespace
}  // namespace stowage
