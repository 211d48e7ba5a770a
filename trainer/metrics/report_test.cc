#include "trainer/metrics/report.h"

#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/scoped_file_limit.h"
#include "gtest/gtest.h"
#include "trainer/metrics/test_folder.h"

namespace stowage {
namespace {

using Json = nlohmann::json;

class ReportTest : public FolderTest {};

TEST_F(ReportTest, HoldsWhatIsKnownAndNothingElse) {
  Report report;
  report.steps = 200;
  report.seconds = 0.1;
  report.tokens = 819200;
  report.rss_peak_bytes = 123;
  report.world_size = 2;
  ASSERT_TRUE(WriteReport(Path("report.json"), report).ok());
  Json json = Json::parse(ReadFile(Path("report.json")).value());
  EXPECT_EQ(json["finished"], false);
  EXPECT_EQ(json["steps"], 200);
  EXPECT_EQ(json["seconds"], 0.1);
  EXPECT_EQ(json["tokens"], 819200);
  EXPECT_EQ(json["measured"]["rss_peak_bytes"], 123);
  EXPECT_EQ(json["world_size"], 2);
  EXPECT_EQ(json["threads"], 1);
  for (const char* absent :
       {"stop_signal", "last_loss", "validation_loss", "tokens_per_second", "versions", "predicted"}) {
    EXPECT_FALSE(json.contains(absent)) << absent;
  }
  for (const char* absent : {"peak_bytes", "phase_peak_bytes", "highest_instructions"}) {
    EXPECT_FALSE(json["measured"].contains(absent)) << absent;
  }

  report.finished = true;
  report.last_loss = 1.0 / 3.0;
  report.validation_loss = 2.5;
  report.measured_peak_bytes = {{"parameters", 7}};
  report.phase_peak_bytes = {{"init", {{"total", 5}}}, {"train", {{"total", 9}, {"gradients", 4}}}};
  report.highest_instructions = {{"train", "backward head", 3, 20, {{"total", 9}}}, {"train", "agree", -1, 5, {}}};
  report.versions = {{"libtorch", "2.11.0"}};
  report.memory.emplace();
  report.memory->moment = "step 3, forward head";
  report.memory->tensors = {{"parameters", 60, 70}};
  report.memory->outside = {{"libraries", "libraries' code and data", 61}};
  report.memory->unexplained_bytes = 2;
  report.memory->most_rss_peak_bytes = 140;
  ASSERT_TRUE(WriteReport(Path("report.json"), report).ok());
  json = Json::parse(ReadFile(Path("report.json")).value());
  EXPECT_EQ(json["last_loss"].get<double>(), 1.0 / 3.0);
  EXPECT_EQ(json["validation_loss"], 2.5);
  EXPECT_EQ(json["measured"]["peak_bytes"]["parameters"], 7);
  EXPECT_EQ(json["measured"]["phase_peak_bytes"]["train"]["gradients"], 4);
  const Json& highest = json["measured"]["highest_instructions"];
  ASSERT_EQ(highest.size(), 2u);
  EXPECT_EQ(highest[0]["instruction"], "backward head");
  EXPECT_EQ(highest[0]["micro_batch"], 3);
  EXPECT_EQ(highest[0]["times"], 20);
  EXPECT_EQ(highest[0]["peak_bytes"]["total"], 9);
  EXPECT_FALSE(highest[1].contains("micro_batch"));
  EXPECT_EQ(json["versions"]["libtorch"], "2.11.0");
  const Json& at_peak = json["measured"]["at_rss_peak"];
  EXPECT_EQ(at_peak["moment"], "step 3, forward head");
  EXPECT_EQ(at_peak["tensor_bytes"]["parameters"], 60);
  EXPECT_EQ(at_peak["outside_bytes"]["libraries"], 61);
  EXPECT_EQ(at_peak["unexplained_bytes"], 2);
  EXPECT_EQ(json["measured"]["most_rss_peak_bytes"], 140);

  report.memory->unmeasured = "/proc/self/smaps: no such file";
  ASSERT_TRUE(WriteReport(Path("report.json"), report).ok());
  json = Json::parse(ReadFile(Path("report.json")).value());
  EXPECT_EQ(json["measured"]["at_rss_peak"], Json({{"unmeasured", "/proc/self/smaps: no such file"}}));
}

TEST_F(ReportTest, OnlyAFinishedRunsReportSaysFinished) {
  const std::string path = Path("report.json");
  EXPECT_FALSE(ReportSaysFinished(path).value());
  Report report;
  ASSERT_TRUE(WriteReport(path, report).ok());
  EXPECT_FALSE(ReportSaysFinished(path).value());
  report.finished = true;
  ASSERT_TRUE(WriteReport(path, report).ok());
  EXPECT_TRUE(ReportSaysFinished(path).value());
  for (const char* text : {"", "{\"finished\": tr", "{}", "[]", "{\"finished\": 1}"}) {
    ASSERT_TRUE(WriteFileDurably(path, text).ok());
    EXPECT_EQ(ReportSaysFinished(path).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST_F(ReportTest, AFullDiskKeepsTheOldReport) {
  Report report;
  report.steps = 1;
  ASSERT_TRUE(WriteReport(Path("report.json"), report).ok());
  report.steps = 2;
  {
    ScopedFileLimit full(20);
    EXPECT_EQ(WriteReport(Path("report.json"), report).code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(Json::parse(ReadFile(Path("report.json")).value())["steps"], 1);
}

}  // namespace
}  // namespace stowage
