#include "memory/memory_trace.h"

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "memory/ledger_marks.h"

namespace stowage {
namespace {

using Json = nlohmann::json;

// Two instructions of a step, on a ledger of its own; what was live at each boundary is noted beside the trace.
struct Played {
  Ledger ledger;
  MemoryTrace trace;
  std::map<int64_t, std::vector<int64_t>> live_at;  // by time in ns
  std::vector<int64_t> peaks;                       // of the instructions

  Played() {
    LedgerMarks marks(ledger);
    ledger.Allocate(Category::kParameters, 1000);
    Peaks step;
    marks.Open(&step);
    MemorySlice first = Play(marks, "forward \"a\", b", 5000, 7000, [&] {
      ledger.Allocate(Category::kActivations, 300);
      ledger.Allocate(Category::kWorkspace, 50);
      ledger.Free(Category::kWorkspace, 50);
    });
    first.micro_batch = 2;
    trace.Add(first);
    trace.Add(Play(marks, "backward a", 7000, 9500, [&] { ledger.Free(Category::kActivations, 300); }));
    marks.Close(&step);
    MemorySlice whole;
    whole.label = Label("step");
    whole.outer = true;
    whole.step = 1;
    whole.start_ns = 4000;
    whole.end_ns = 10000;
    whole.peaks = step;
    trace.Add(whole);
  }

  template <typename Body>
  MemorySlice Play(LedgerMarks& marks, const char* label, int64_t start, int64_t end, const Body& body) {
    MemorySlice slice;
    slice.label = Label(label);
    slice.step = 1;
    slice.start_ns = start;
    slice.end_ns = end;
    slice.at_start = ReadLive(ledger);
    Note(start);
    {
      MarkScope scope(marks, &slice.peaks);
      body();
    }
    slice.at_end = ReadLive(ledger);
    Note(end);
    peaks.push_back(slice.peaks.host().total);
    return slice;
  }

  void Note(int64_t time) {
    std::vector<int64_t> live;
    for (int c = 0; c < kCategories; ++c) live.push_back(ledger.live(static_cast<Category>(c)));
    live_at[time] = live;
  }
};

TEST(MemoryTraceTest, CountersEqualTheLedgerAtEachBoundary) {
  Played played;
  const Json trace = Json::parse(played.trace.Json("rank 0"));
  std::map<int64_t, std::vector<int64_t>> counted;
  std::vector<int64_t> peaks;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "C") continue;
    if (event["name"] == "host peak bytes") {
      peaks.push_back(event["args"]["total"]);
      continue;
    }
    ASSERT_EQ(event["name"], "host bytes") << "places that hold nothing are left out";
    std::vector<int64_t> live;
    for (int c = 0; c < kCategories; ++c) {
      live.push_back(event["args"][std::string(CategoryName(static_cast<Category>(c)))]);
    }
    counted[static_cast<int64_t>(event["ts"].get<double>() * 1000 + 4000.5)] = live;
  }
  EXPECT_EQ(counted, played.live_at);
  EXPECT_EQ(counted.size(), 3u);
  EXPECT_EQ(peaks, played.peaks);
  EXPECT_EQ(peaks, (std::vector<int64_t>{1350, 1300}));
}

TEST(MemoryTraceTest, SlicesHaveTimesNamesAndPeaks) {
  const Json trace = Json::parse(Played().trace.Json("rank 0"));
  std::vector<Json> slices;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") slices.push_back(event);
  }
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0]["name"], "forward \"a\", b");
  EXPECT_EQ(slices[0]["ts"], 1.0);
  EXPECT_EQ(slices[0]["dur"], 2.0);
  EXPECT_EQ(slices[0]["args"]["micro_batch"], 2);
  EXPECT_EQ(slices[0]["args"]["host_peak_bytes"]["total"], 1350);
  EXPECT_EQ(slices[0]["args"]["host_peak_bytes"]["workspace"], 50);
  EXPECT_FALSE(slices[1]["args"].contains("micro_batch"));
  EXPECT_EQ(slices[2]["name"], "step");
  EXPECT_NE(slices[2]["tid"], slices[0]["tid"]);
  EXPECT_EQ(slices[2]["args"]["host_peak_bytes"]["total"], 1350);
}

TEST(MemoryTraceTest, TheTableHasALineForEachSlice) {
  std::istringstream lines(Played().trace.Csv());
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line.substr(0, line.find(",host_live_bytes_gradients")),
            "step,micro_batch,name,start_us,duration_us,host_live_bytes_parameters");
  EXPECT_NE(line.find(",host_live_bytes_total,host_peak_bytes_parameters,"), std::string::npos);
  std::getline(lines, line);
  EXPECT_EQ(line, "1,2,\"forward \"\"a\"\", b\",1,2,1000,0,0,300,0,0,0,1300,1000,0,0,300,0,50,0,1350");
  std::getline(lines, line);
  EXPECT_EQ(line, "1,,\"backward a\",3,2,1000,0,0,0,0,0,0,1000,1000,0,0,300,0,0,0,1300");
  std::getline(lines, line);
  EXPECT_EQ(line.substr(0, 14), "1,,\"step\",0,6,");
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(MemoryTraceTest, WithoutSlicesItIsStillATrace) {
  MemoryTrace empty;
  EXPECT_TRUE(Json::parse(empty.Json("rank 0"))["traceEvents"].is_array());
  EXPECT_EQ(empty.Csv(), "step,micro_batch,name,start_us,duration_us\n");
}

}  // namespace
}  // namespace stowage
