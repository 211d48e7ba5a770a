#include "trainer/metrics/metrics_writer.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/scoped_file_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/metrics/test_folder.h"

namespace stowage {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

StepMetrics At(int64_t step) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.loss = 1.0 / 3.0 + static_cast<double>(step);
  metrics.lr = 1e-3;
  metrics.grad_norm = 0.1;
  metrics.tokens = 4096;
  metrics.seconds = 2.345678901234567;
  metrics.tokens_per_second = 4096 / 2.345678901234567;
  metrics.memory_peak_bytes = {{"parameters", 42663936}, {"gradients", 7}};
  metrics.rss_peak_bytes = int64_t{3} << 32;
  return metrics;
}

class MetricsWriterTest : public FolderTest {
 protected:
  std::string Contents() const { return ReadFile(Path("metrics.jsonl")).value(); }
  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const std::string& line : Lines(Contents())) steps.push_back(Json::parse(line)["step"].get<int64_t>());
    return steps;
  }
  void WriteSteps(std::optional<int64_t> resume_step, int64_t first, int64_t last) {
    auto writer = MetricsWriter::Open(folder_, resume_step);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (int64_t step = first; step <= last; ++step) ASSERT_TRUE((*writer)->Write(At(step)).ok());
    ASSERT_TRUE((*writer)->Close().ok());
  }
};

TEST_F(MetricsWriterTest, ALineHoldsEveryFieldAndNumbersReadBackToTheSameDouble) {
  WriteSteps(std::nullopt, 1, 1);
  const Json line = Json::parse(Lines(Contents())[0]);
  const StepMetrics metrics = At(1);
  EXPECT_EQ(line["step"], 1);
  EXPECT_EQ(line["loss"].get<double>(), metrics.loss);
  EXPECT_EQ(line["lr"].get<double>(), metrics.lr);
  EXPECT_EQ(line["grad_norm"].get<double>(), metrics.grad_norm);
  EXPECT_EQ(line["tokens"], 4096);
  EXPECT_EQ(line["seconds"].get<double>(), metrics.seconds);
  EXPECT_EQ(line["tokens_per_second"].get<double>(), metrics.tokens_per_second);
  EXPECT_EQ(line["memory"]["parameters"], 42663936);
  EXPECT_EQ(line["memory"]["gradients"], 7);
  EXPECT_EQ(line["rss_peak_bytes"].get<int64_t>(), metrics.rss_peak_bytes);
  EXPECT_EQ(line.size(), 9u);
}

TEST_F(MetricsWriterTest, AStepThatWasVoidedOrSkippedSaysSo) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  StepMetrics metrics = At(1);
  metrics.micro_batch = 4;
  metrics.loss_scale = 1024.0;
  ASSERT_TRUE((*writer)->Write(metrics).ok());
  metrics.voided = 2;
  metrics.skipped = true;
  ASSERT_TRUE((*writer)->Write(metrics).ok());
  const std::vector<std::string> lines = Lines(Contents());
  const Json plain = Json::parse(lines[0]), marked = Json::parse(lines[1]);
  EXPECT_EQ(plain["micro_batch"], 4);
  EXPECT_EQ(plain["loss_scale"], 1024.0);
  EXPECT_FALSE(plain.contains("voided"));
  EXPECT_FALSE(plain.contains("skipped"));
  EXPECT_EQ(marked["voided"], 2);
  EXPECT_EQ(marked["skipped"], true);
}

TEST_F(MetricsWriterTest, APeakThatTheSystemDoesNotSayIsAbsentAndNotZero) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  StepMetrics metrics = At(1);
  metrics.rss_peak_bytes = 0;
  ASSERT_TRUE((*writer)->Write(metrics).ok());
  EXPECT_FALSE(Json::parse(Lines(Contents())[0]).contains("rss_peak_bytes")) << Contents();
}

TEST_F(MetricsWriterTest, EvaluationsHaveLinesOfTheirOwn) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  ASSERT_TRUE((*writer)->Write(EvalMetrics{50, 2.9, 436224, 12.5}).ok());
  EXPECT_EQ(Contents(), "{\"step\":50,\"validation_loss\":2.9,\"tokens\":436224,\"seconds\":12.5}\n");
  ASSERT_TRUE((*writer)->Write(EvalMetrics{60, 3.0, 100, 2.0, 4.0}).ok());
  EXPECT_NE(Contents().find("\"seconds\":2.0,\"validation_loss_per_byte\":0.75}"), std::string::npos) << Contents();
  ASSERT_TRUE((*writer)->Write(EvalMetrics{70, 0.5, 100, 2.0, 0.0, 0.875}).ok());
  EXPECT_NE(Contents().find("\"seconds\":2.0,\"accuracy\":0.875}"), std::string::npos) << Contents();
}

TEST_F(MetricsWriterTest, WhatIsNotFiniteIsNull) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  StepMetrics metrics = At(1);
  metrics.loss = std::numeric_limits<double>::quiet_NaN();
  metrics.grad_norm = std::numeric_limits<double>::infinity();
  ASSERT_TRUE((*writer)->Write(metrics).ok());
  const Json line = Json::parse(Lines(Contents())[0]);
  EXPECT_TRUE(line["loss"].is_null());
  EXPECT_TRUE(line["grad_norm"].is_null());
}

TEST_F(MetricsWriterTest, LinesAreThereBeforeClose) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  ASSERT_TRUE((*writer)->Write(At(1)).ok());
  EXPECT_THAT(Steps(), testing::ElementsAre(1));
}

TEST_F(MetricsWriterTest, ResumeCutsWhatCameAfterAndATornLastLine) {
  WriteSteps(std::nullopt, 1, 5);
  ASSERT_TRUE(WriteFileDurably(Path("metrics.jsonl"), Contents() + "{\"step\":6,\"lo").ok());
  WriteSteps(3, 4, 6);
  EXPECT_THAT(Steps(), testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(MetricsWriterTest, ResumeKeepsAllWholeLinesUpToTheStepWhenTheLastOneIsTorn) {
  WriteSteps(std::nullopt, 1, 3);
  const std::string whole = Contents();
  for (size_t cut = 1; cut < 20; ++cut) {
    ASSERT_TRUE(WriteFileDurably(Path("metrics.jsonl"), whole.substr(0, whole.size() - cut)).ok());
    WriteSteps(3, 4, 4);
    EXPECT_THAT(Steps(), testing::ElementsAre(1, 2, 4)) << cut;
  }
}

TEST_F(MetricsWriterTest, ResumeKnowsWhetherItsStepWasEvaluated) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  ASSERT_TRUE((*writer)->Write(At(1)).ok());
  ASSERT_TRUE((*writer)->Write(EvalMetrics{1, 2.9, 100, 1.0}).ok());
  ASSERT_TRUE((*writer)->Write(At(2)).ok());
  ASSERT_TRUE((*writer)->Close().ok());
  EXPECT_FALSE((*writer)->resumed_evaluated());
  EXPECT_FALSE((*MetricsWriter::Open(folder_, 2))->resumed_evaluated());
  EXPECT_TRUE((*MetricsWriter::Open(folder_, 1))->resumed_evaluated());
}

TEST_F(MetricsWriterTest, ResumeWithoutAFileMakesOne) {
  WriteSteps(3, 4, 4);
  EXPECT_THAT(Steps(), testing::ElementsAre(4));
}

TEST_F(MetricsWriterTest, ANewFileForgetsTheOldOne) {
  WriteSteps(std::nullopt, 1, 3);
  WriteSteps(std::nullopt, 1, 1);
  EXPECT_THAT(Steps(), testing::ElementsAre(1));
}

TEST_F(MetricsWriterTest, AFullDiskIsToldEachTimeAndWritingGoesOnOnceThereIsRoom) {
  auto writer = MetricsWriter::Open(folder_, std::nullopt);
  ASSERT_TRUE((*writer)->Write(At(1)).ok());
  {
    ScopedFileLimit full(static_cast<int64_t>(Contents().size()) + 10);
    for (int64_t step : {2, 3}) {
      const absl::Status status = (*writer)->Write(At(step));
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(status.message()), HasSubstr("metrics.jsonl: cannot write"));
    }
  }
  ASSERT_TRUE((*writer)->Write(At(4)).ok());
  ASSERT_TRUE((*writer)->Close().ok());
  EXPECT_THAT(Steps(), testing::ElementsAre(1, 4));
}

}  // namespace
}  // namespace stowage
