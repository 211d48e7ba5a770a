// Marks of a run: on a ledger that is told by hand, and on real steps of a small GPT.
#include "trainer/run/memory_marks.h"

#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "memory/counting_allocator.h"
#include "sharding/solo_communicator.h"
#include "trainer/executor/executor.h"
#include "trainer/model/gpt2.h"
#include "trainer/run/mark_difference.h"
#include "trainer/run/marks_report.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

using Json = nlohmann::json;

// A ledger told by hand.
struct ByHand {
  Ledger ledger;
  LedgerMarks books{ledger};
  MemoryMarks marks{books};

  ByHand() {
    ModelShape shape;
    shape.segments = {"embed", "head"};
    shape.groups = {"wte"};
    marks.SetModel(shape);
  }
  void Spike(int64_t bytes) {
    ledger.Allocate(Category::kWorkspace, bytes);
    ledger.Free(Category::kWorkspace, bytes);
  }
  void Play(const Instruction& instruction, int64_t bytes) {
    marks.Before(instruction);
    Spike(bytes);
    marks.After(instruction);
  }
  int64_t PhasePeak(Phase phase) { return marks.phase(phase)->host().total; }
};

TEST(MemoryMarksTest, PhasesExcludeEachOtherAndComeBack) {
  ByHand run;
  run.Spike(10);
  {
    PhaseScope load(run.marks, Phase::kLoad);
    run.Spike(100);
  }
  run.Spike(20);
  for (int64_t bytes : {30, 50, 40}) {
    PhaseScope train(run.marks, Phase::kTrain);
    run.Spike(bytes);
  }
  EXPECT_EQ(run.PhasePeak(Phase::kInit), 20);
  EXPECT_EQ(run.PhasePeak(Phase::kLoad), 100);
  EXPECT_EQ(run.PhasePeak(Phase::kTrain), 50);
  EXPECT_FALSE(run.marks.phase(Phase::kEval).has_value());
  EXPECT_EQ(run.marks.overall().host().total, 100);
}

TEST(MemoryMarksTest, AnInstructionHasItsPeakOverAllStepsAndOfTheLastOne) {
  ByHand run;
  PhaseScope train(run.marks, Phase::kTrain);
  const Instruction first{Op::kForward, 1, 0}, second{Op::kForward, 1, 1}, reduce{Op::kReduce, 0, -1, 3},
      wait{Op::kWait, -1, -1, 3};
  for (int64_t step = 1; step <= 3; ++step) {
    run.marks.BeginStep(step);
    run.Spike(1);
    run.Play(first, step == 2 ? 500 : 10 * step);
    run.Play(second, 7);
    run.Play(reduce, 3);
    run.Play(wait, 2);
    const Peaks peaks = run.marks.EndStep();
    EXPECT_EQ(peaks.host().total, step == 2 ? 500 : 10 * step);
  }
  {
    PhaseScope eval(run.marks, Phase::kEval);
    for (int m = 0; m < 100; ++m) run.Play({Op::kForward, 1, m, -1, Keep::kNothing}, m);
  }
  const std::vector<InstructionPeaks> highest = run.marks.Highest(2);
  ASSERT_EQ(highest.size(), 2u);
  EXPECT_EQ(highest[0].label.text(), "forward head");
  EXPECT_EQ(highest[0].micro_batch, 0);
  EXPECT_EQ(highest[0].times, 3);
  EXPECT_EQ(highest[0].peaks.host()[Category::kWorkspace], 500);
  EXPECT_EQ(highest[0].last_step, 3);
  EXPECT_EQ(highest[0].last_step_peaks.host().total, 30);
  EXPECT_EQ(highest[1].phase, Phase::kEval) << "an evaluation's micro-batches are one entry";
  EXPECT_EQ(highest[1].times, 100);
  EXPECT_EQ(highest[1].peaks.host().total, 99);
  EXPECT_EQ(highest[1].last_step, 0);
  std::set<std::string> labels;
  for (const InstructionPeaks& entry : run.marks.instructions()) labels.insert(entry.label.text());
  EXPECT_EQ(labels, (std::set<std::string>{"forward head", "reduce wte", "wait wte"}));
}

TEST(MemoryMarksTest, WhatIsPlayedIsKnownToWhoeverAsksMeanwhile) {
  ByHand run;
  EXPECT_EQ(CurrentInstruction(), "");
  run.marks.Before({Op::kBackward, 0, 0});
  EXPECT_EQ(CurrentInstruction(), "backward embed");
  run.marks.After({Op::kBackward, 0, 0});
  EXPECT_EQ(CurrentInstruction(), "");
}

TEST(MemoryMarksTest, TheReportTellsPhasesAndTheHighestInstructions) {
  ByHand run;
  run.Spike(5);
  {
    PhaseScope train(run.marks, Phase::kTrain);
    run.marks.BeginStep(1);
    for (int m = 0; m < 20; ++m) run.Play({Op::kForward, 0, m}, 100 + m);
    run.marks.EndStep();
  }
  Report report;
  ReportMarks(run.marks, &report);
  ASSERT_EQ(report.phase_peak_bytes.size(), 3u);
  EXPECT_EQ(report.phase_peak_bytes["init"]["total"], 5);
  EXPECT_EQ(report.phase_peak_bytes["train"]["workspace"], 119);
  EXPECT_EQ(report.phase_peak_bytes["all"]["total"], 119);
  ASSERT_EQ(report.highest_instructions.size(), 10u);
  EXPECT_EQ(report.highest_instructions[0].instruction, "forward embed");
  EXPECT_EQ(report.highest_instructions[0].micro_batch, 19);
  EXPECT_EQ(report.highest_instructions[0].peak_bytes["total"], 119);
}

TEST(MarkDifferenceTest, TheFirstInstructionThatHoldsSomethingElseIsNamedWithBothNumbers) {
  // Three micro-batches are rehearsed of the run's four.
  Prediction prediction;
  const auto rehearse = [&](const std::string& phase, const std::string& label, int micro_batch, int64_t bytes) {
    InstructionPrediction i;
    i.phase = phase;
    i.label = label;
    i.micro_batch = micro_batch;
    i.total_peak_bytes = bytes;
    prediction.instructions.push_back(i);
  };
  for (const char* phase : {"first step", "step"}) {
    for (int m : {0, 1, 3}) {
      rehearse(phase, "forward embed", m, 10);
      rehearse(phase, "forward head", m, 20);
    }
  }
  rehearse("eval", "forward head", -1, 5);

  // bytes[m]: of the head's forward in the first step, and in the second.
  const auto difference = [&](std::vector<int64_t> first, std::vector<int64_t> second, int64_t eval) {
    ByHand run;
    {
      PhaseScope train(run.marks, Phase::kTrain);
      for (int64_t step : {1, 2}) {
        run.marks.BeginStep(step);
        for (int m = 0; m < 4; ++m) {
          run.Play({Op::kForward, 0, m}, 10);
          run.Play({Op::kForward, 1, m}, (step == 1 ? first : second)[m]);
        }
        run.marks.EndStep();
      }
    }
    PhaseScope evaluation(run.marks, Phase::kEval);
    run.Play({Op::kForward, 1, 0, -1, Keep::kNothing}, eval);
    return FirstDifference(prediction, run.marks.instructions());
  };
  const std::vector<int64_t> good = {20, 20, 20, 20};
  EXPECT_FALSE(difference(good, good, 5).has_value());
  EXPECT_FALSE(difference({20, 20, 99, 20}, good, 5).has_value()) << "not rehearsed: nobody knows";
  // A first step that holds less, and later ones that make up for it.
  auto found = difference({20, 15, 20, 20}, good, 5);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->phase, "first step");
  EXPECT_EQ(found->instruction, "forward head");
  EXPECT_EQ(found->micro_batch, 1);
  EXPECT_EQ(found->predicted_bytes, 20);
  EXPECT_EQ(found->measured_bytes, 15);
  EXPECT_THAT(DifferenceWords(*found), testing::HasSubstr("forward head of micro-batch 1 (first step): 15 B"));
  // Later steps alone.
  found = difference(good, {20, 20, 20, 27}, 5);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->phase, "step");
  EXPECT_EQ(found->micro_batch, 3);
  EXPECT_EQ(found->measured_bytes, 27);
  // An evaluation alone.
  found = difference(good, good, 6);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->phase, "eval");
  EXPECT_EQ(found->micro_batch, -1);
  EXPECT_THAT(DifferenceWords(*found), testing::HasSubstr("1 B more"));
}

TEST(MarkDifferenceTest, WhetherItMattersIsWhetherAPhasesPeakDiffers) {
  Report report;
  report.predicted_phase_peak_bytes = {{"all", {{"total", 9}}}, {"load", {{"total", 9}}}, {"train", {{"total", 7}}}};
  report.phase_peak_bytes = {{"all", {{"total", 7}}}, {"train", {{"total", 7}}}};
  EXPECT_FALSE(PeaksDiffer(report));
  report.phase_peak_bytes["train"]["total"] = 8;
  EXPECT_TRUE(PeaksDiffer(report));
}

TEST(MarkDifferenceTest, AnInstructionThatIsPlayedAgainInAStepIsComparedWithItsFirstTimeFirst) {
  Prediction prediction;
  for (int64_t bytes : {10, 30}) {
    InstructionPrediction i;
    i.phase = "first step";
    i.label = "release wte";
    i.total_peak_bytes = bytes;
    prediction.instructions.push_back(i);
  }
  ByHand run;
  PhaseScope train(run.marks, Phase::kTrain);
  run.marks.BeginStep(1);
  run.Play({Op::kRelease, 0}, 10);
  run.Play({Op::kRelease, 0}, 30);
  run.marks.EndStep();
  EXPECT_FALSE(FirstDifference(prediction, run.marks.instructions()).has_value());
}

// Notes what the ledger says after each instruction, as the trace should.
class Noted final : public InstructionObserver {
 public:
  explicit Noted(MemoryMarks& marks) : marks_(marks) {}
  void Before(const Instruction& instruction) override {
    marks_.Before(instruction);
    labels_.push_back(CurrentInstruction());
  }
  void After(const Instruction& instruction) override {
    marks_.After(instruction);
    live_.push_back(ProcessLedger().Snapshot());
  }
  const std::vector<LedgerSnapshot>& live() const { return live_; }
  const std::vector<std::string>& labels() const { return labels_; }

 private:
  MemoryMarks& marks_;
  std::vector<LedgerSnapshot> live_;
  std::vector<std::string> labels_;
};

TEST(MemoryMarksTest, TheTraceOfRealStepsEqualsTheLedger) {
  ASSERT_TRUE(SetUpProcess(/*threads=*/1).ok());
  ModelConfig config;
  config.layers = 2;
  config.width = 32;
  config.heads = 4;
  config.context = 12;
  config.ffn = 64;
  config.vocabulary = 50;
  const Model model = *MakeGpt2(config);
  GroupStates groups = MakeGroupStates(model, 1);
  for (const auto& group : groups) group->Initialize(1);
  SoloCommunicator solo;
  const auto optimizer = *MakeOptimizer(OptimizerConfig());
  Executor executor(model, groups, solo, optimizer.get());
  const Schedule schedule = WriteTrainStep(ShapeOf(model), 2);

  MemoryMarks marks(ProcessMarks());
  Noted noted(marks);
  marks.SetModel(ShapeOf(model));
  marks.Trace(2, testing::TempDir());
  PhaseScope train(marks, Phase::kTrain);
  PlayInputs inputs;
  inputs.observer = &noted;
  inputs.global_index = [](int m) { return m; };
  inputs.batch = [](int) -> absl::StatusOr<Batch> {
    Batch batch;
    batch.tensors = {{"tokens", at::zeros({3, 12}, at::kLong)}, {"targets", at::zeros({3, 12}, at::kLong)}};
    batch.samples = 3;
    batch.loss_terms = 36;
    return batch;
  };
  inputs.scalars = [](const AgreementVerdict&) -> absl::StatusOr<UpdateScalars> { return UpdateScalars(); };
  std::vector<Peaks> steps;
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_FALSE(step < 2 && marks.trace_is_due());
    inputs.step = step;
    marks.BeginStep(step + 1);
    const auto verdict = executor.Play(schedule, inputs);
    steps.push_back(marks.EndStep());
    ASSERT_TRUE(verdict.ok()) << verdict.status();
  }
  ASSERT_TRUE(marks.trace_is_due());
  ASSERT_TRUE(marks.WriteTrace().ok());
  EXPECT_FALSE(marks.trace_is_due());

  const Json trace = Json::parse(ReadFile(absl::StrCat(testing::TempDir(), "/memory.trace.json")).value());
  std::vector<Json> slices, outer;
  std::map<double, Json> counters;  // by time: what holds from there on
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") (event["name"] == "step" ? outer : slices).push_back(event);
    if (event["ph"] == "C" && event["name"] == "host bytes") counters[event["ts"]] = event["args"];
  }
  const size_t played = schedule.instructions.size();
  ASSERT_EQ(slices.size(), 2 * played) << "the third step was not asked for";
  ASSERT_EQ(outer.size(), 2u);
  for (size_t i = 0; i < slices.size(); ++i) {
    const Json& args = slices[i]["args"];
    EXPECT_EQ(slices[i]["name"], noted.labels()[i]);
    EXPECT_EQ(args["step"], 1 + i / played);
    EXPECT_EQ(args.value("micro_batch", -1), schedule.instructions[i % played].micro);
    EXPECT_LE(args["host_peak_bytes"]["total"], steps[i / played].host().total);
    const double end = slices[i]["ts"].get<double>() + slices[i]["dur"].get<double>();
    const auto at_end = std::prev(counters.upper_bound(end + 1e-4));
    for (int c = 0; c < kCategories; ++c) {
      const std::string name(CategoryName(static_cast<Category>(c)));
      EXPECT_EQ(at_end->second[name], noted.live()[i].categories[c].live) << slices[i] << " " << name;
      EXPECT_GE(args["host_peak_bytes"][name], noted.live()[i].categories[c].live) << slices[i] << " " << name;
    }
  }
  EXPECT_EQ(slices[0]["name"], absl::StrCat("forward ", model.segments[0].name));
  for (int s : {0, 1}) {
    EXPECT_EQ(outer[s]["args"]["host_peak_bytes"]["total"], steps[s].host().total);
  }
  const std::string csv = ReadFile(absl::StrCat(testing::TempDir(), "/memory.csv")).value();
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), static_cast<int64_t>(1 + 2 * (played + 1)));

  // A step's peak lies in one of its instructions, or before the first where gradients of all groups are taken at once.
  const std::vector<InstructionPeaks> highest = marks.Highest(1);
  ASSERT_EQ(highest.size(), 1u);
  EXPECT_EQ(highest[0].times, 3);
  const int64_t most = std::max({steps[0].host().total, steps[1].host().total, steps[2].host().total});
  EXPECT_EQ(highest[0].peaks.host().total, most);
}

}  // namespace
}  // namespace stowage
