// The step end to end on a small GPT: what must not change results does not, and what fails on one rank is known to
// all.
#include "trainer/executor/executor.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>
#include <tuple>

#include "base/hash.h"
#include "kernels/gemm.h"
#include "memory/counting_allocator.h"
#include "memory/test_books.h"
#include "sharding/in_process_group.h"
#include "sharding/solo_communicator.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/precision.h"

namespace stowage {
namespace {

ModelConfig Tiny() {
  ModelConfig config;
  config.layers = 2;
  config.width = 32;
  config.heads = 4;
  config.context = 12;
  config.ffn = 64;
  config.vocabulary = 50;
  return config;
}

// Samples [first, first + count) of a made-up text: sample i is a function of i.
Batch MakeBatch(int64_t step, int64_t first, int64_t count, int64_t context) {
  Batch batch;
  if (count == 0) return batch;
  at::Tensor tokens = at::empty({count, context}, at::kLong), targets = at::empty({count, context}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t t = 0; t <= context; ++t) {
      const int64_t id = static_cast<int64_t>(
          HashKey({static_cast<uint64_t>(step), static_cast<uint64_t>(first + i), static_cast<uint64_t>(t / 3)}) % 50);
      if (t < context) tokens.data_ptr<int64_t>()[i * context + t] = id;
      if (t > 0) targets.data_ptr<int64_t>()[i * context + t - 1] = id;
    }
  }
  batch.tensors = {{"tokens", tokens}, {"targets", targets}};
  batch.samples = count;
  batch.loss_terms = count * context;
  return batch;
}

struct Experiment {
  ModelConfig model = Tiny();
  int64_t global_batch = 12;
  int64_t micro_batch = 3;
  int steps = 5;
  bool release_gradients = true;
  double lr = 1e-2;
  std::string precision = "fp32";
  std::vector<std::string> fp32_segments;
  std::function<absl::StatusOr<Batch>(int rank, int64_t step, Batch)> meddle;  // changes or refuses a batch
  std::function<void()> before_agree;
  InstructionObserver* observer = nullptr;
  std::function<void(Model*)> change_model;
};

struct Outcome {
  absl::Status status;
  std::vector<double> losses, norms;
  std::vector<std::vector<float>> weights;  // by group
};

Outcome RunRank(const Experiment& setup, Communicator& communicator) {
  Outcome outcome;
  Model model = *MakeGpt2(setup.model);
  EXPECT_TRUE(ApplyPrecision(setup.precision, setup.fp32_segments, &model).ok());
  if (setup.change_model) setup.change_model(&model);
  GroupStates groups = MakeGroupStates(model, communicator.world_size(), communicator.rank());
  for (const auto& group : groups) group->Initialize(1);
  OptimizerConfig optimizer_config;
  const auto optimizer = MakeOptimizer(optimizer_config);
  Executor executor(model, groups, communicator, optimizer->get());
  const MicroBatchCut cut{setup.global_batch, setup.micro_batch, communicator.world_size()};
  const Schedule schedule = WriteTrainStep(ShapeOf(model), cut.per_rank());
  const int rank = communicator.rank();
  for (int64_t step = 0; step < setup.steps; ++step) {
    PlayInputs inputs;
    inputs.seed = 3;
    inputs.step = step;
    inputs.release_gradients = setup.release_gradients;
    inputs.observer = setup.observer;
    inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
    inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
      const int64_t index = cut.GlobalIndex(rank, m);
      Batch batch = MakeBatch(step, cut.First(index), cut.Size(index), setup.model.context);
      if (setup.meddle) return setup.meddle(rank, step, std::move(batch));
      return batch;
    };
    inputs.before_agree = [&](AgreementWords*) {
      if (setup.before_agree) setup.before_agree();
    };
    inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
      if (verdict.non_finite > 0) return absl::FailedPreconditionError("not finite");
      UpdateScalars scalars;
      scalars.lr = setup.lr;
      scalars.step = step + 1;
      scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
      outcome.norms.push_back(std::sqrt(verdict.sum_of_squares) / static_cast<double>(verdict.tokens));
      return scalars;
    };
    const absl::StatusOr<AgreementVerdict> verdict = executor.Play(schedule, inputs);
    if (!verdict.ok()) {
      outcome.status = verdict.status();
      break;
    }
    outcome.losses.push_back(verdict->loss_sum / static_cast<double>(verdict->tokens));
  }
  for (const auto& group : groups) {
    std::vector<float> values;
    for (int i = 0; i < group->layout().parameters(); ++i) {
      const float* from = group->parameters_data() + group->layout().offset(i);
      values.insert(values.end(), from, from + group->layout().numel(i));
    }
    outcome.weights.push_back(std::move(values));
  }
  return outcome;
}

Outcome RunSolo(const Experiment& setup) {
  SoloCommunicator solo;
  return RunRank(setup, solo);
}

std::vector<Outcome> RunWorld(const Experiment& setup, int world_size) {
  const auto communicators = InProcessGroup::Create(world_size);
  std::vector<Outcome> outcomes(world_size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] { outcomes[rank] = RunRank(setup, *communicators[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

void ExpectLossesWithin(const Outcome& a, const Outcome& b, double relative) {
  ASSERT_TRUE(a.status.ok()) << a.status.ToString();
  ASSERT_TRUE(b.status.ok()) << b.status.ToString();
  ASSERT_EQ(a.losses.size(), b.losses.size());
  for (size_t i = 0; i < a.losses.size(); ++i) {
    EXPECT_NEAR(a.losses[i] / b.losses[i], 1.0, relative) << "step " << i;
    EXPECT_NEAR(a.norms[i] / b.norms[i], 1.0, relative * 10) << "step " << i;
  }
}

TEST(ExecutorTest, LossFalls) {
  Experiment setup;
  setup.steps = 30;
  const Outcome outcome = RunSolo(setup);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_LT(outcome.losses.back(), 0.95 * outcome.losses.front());
}

TEST(ExecutorTest, AccumulationEqualsTheWholeBatchAtOnce) {
  Experiment whole, cut;
  whole.micro_batch = 12;
  whole.steps = cut.steps = 1;
  for (int64_t micro : {6, 4, 1}) {
    cut.micro_batch = micro;
    ExpectLossesWithin(RunSolo(whole), RunSolo(cut), 1e-6);
  }
}

TEST(ExecutorTest, ASmallerLastMicroBatchCountsByItsTokens) {
  Experiment whole, cut;
  whole.global_batch = cut.global_batch = 10;
  whole.micro_batch = 10;
  cut.micro_batch = 4;  // 4, 4, 2
  whole.steps = cut.steps = 1;
  ExpectLossesWithin(RunSolo(whole), RunSolo(cut), 1e-6);
}

TEST(ExecutorTest, TrainsWithAFreeHeadAndWithoutBiases) {
  Experiment experiment;
  experiment.model.tie = experiment.model.bias = false;
  experiment.steps = 30;
  const Outcome outcome = RunSolo(experiment);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_LT(outcome.losses.back(), 0.95 * outcome.losses.front());
}

TEST(ExecutorTest, ReleasedAndKeptGradientBuffersGiveTheSameBits) {
  Experiment release, keep;
  keep.release_gradients = false;
  release.steps = keep.steps = 20;
  EXPECT_EQ(RunSolo(release).weights, RunSolo(keep).weights);
}

TEST(ExecutorTest, TheSameRunTwiceGivesTheSameBitsWithDropout) {
  Experiment setup;
  setup.model.dropout = 0.1;
  const Outcome a = RunSolo(setup), b = RunSolo(setup);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.weights, b.weights);
}

TEST(ExecutorTest, Bf16LearnsAsFp32Does) {
  Experiment fp32, bf16;
  fp32.steps = bf16.steps = 60;
  bf16.precision = "bf16";
  const Outcome a = RunSolo(fp32), b = RunSolo(bf16);
  ASSERT_TRUE(b.status.ok()) << b.status.ToString();
  EXPECT_NEAR(b.losses.back() / a.losses.back(), 1.0, 0.02);
  EXPECT_LT(b.losses.back(), 0.9 * b.losses.front());
  EXPECT_NE(a.losses[0], b.losses[0]);  // it is another arithmetic
}

TEST(ExecutorTest, Bf16WithDropoutAndAccumulationGivesTheSameBitsTwice) {
  Experiment setup;
  setup.precision = "bf16";
  setup.model.dropout = 0.1;
  const Outcome a = RunSolo(setup), b = RunSolo(setup);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.weights, b.weights);
}

// By the counts that kernels/gemm keeps of each dtype: [fp32, bf16] of one step.
std::vector<int64_t> FlopsOfAStep(const std::string& precision, const std::vector<std::string>& fp32_segments) {
  Experiment setup;
  setup.steps = 1;
  setup.precision = precision;
  setup.fp32_segments = fp32_segments;
  const kernels::GemmFlops before = kernels::CountedGemmFlops();
  const Outcome outcome = RunSolo(setup);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  const kernels::GemmFlops after = kernels::CountedGemmFlops();
  return {after.fp32 - before.fp32, after.bf16 - before.bf16};
}

TEST(ExecutorTest, EveryProductOfAStepIsInBf16ExceptOfSegmentsThatAreToStayInFp32) {
  const std::vector<int64_t> fp32 = FlopsOfAStep("fp32", {}), bf16 = FlopsOfAStep("bf16", {}),
                             head = FlopsOfAStep("bf16", {"head"});
  EXPECT_GT(fp32[0], 0);
  EXPECT_EQ(fp32[1], 0);
  EXPECT_EQ(bf16[0], 0);
  EXPECT_EQ(bf16[1], fp32[0]);
  const ModelConfig tiny = Tiny();
  EXPECT_EQ(head[0], 3 * 2 * 12 * tiny.context * tiny.width * *tiny.vocabulary);
  EXPECT_EQ(head[0] + head[1], fp32[0]);
}

class ExecutorWorldTest : public testing::TestWithParam<int> {};

TEST_P(ExecutorWorldTest, LossesEqualOneRankAndWeightsAreTheSameOnAllRanks) {
  Experiment setup;
  setup.model.dropout = 0.1;  // keyed by the micro-batch's place in the global batch, so it must not matter either
  setup.global_batch = 14;    // 5 micro-batches, the last one smaller: no world size here divides them
  const Outcome solo = RunSolo(setup);
  const std::vector<Outcome> world = RunWorld(setup, GetParam());
  for (const Outcome& rank : world) {
    ExpectLossesWithin(rank, solo, 1e-5);
    EXPECT_EQ(rank.weights, world[0].weights);
    EXPECT_EQ(rank.losses, world[0].losses);
  }
}

// The first step has the same copies and the same products, and gradients are summed in fp32: as close as in fp32.
// Later, a master that another order of sums moved over the edge between two bf16 numbers has a copy that is 2^-8 off:
// losses may then differ by some 1e-4 here, and a wrong sum would show in the first step already.
TEST_P(ExecutorWorldTest, LossesInBf16EqualOneRank) {
  Experiment setup;
  setup.precision = "bf16";
  setup.global_batch = 14;
  const Outcome solo = RunSolo(setup);
  const std::vector<Outcome> world = RunWorld(setup, GetParam());
  for (const Outcome& rank : world) {
    ExpectLossesWithin(rank, solo, 1e-3);
    EXPECT_NEAR(rank.losses[0] / solo.losses[0], 1.0, 1e-6);
    EXPECT_NEAR(rank.norms[0] / solo.norms[0], 1.0, 1e-6);
    EXPECT_EQ(rank.weights, world[0].weights);
    EXPECT_EQ(rank.losses, world[0].losses);
  }
}

TEST_P(ExecutorWorldTest, RunsAreBitIdenticalToThemselves) {
  Experiment setup;
  EXPECT_EQ(RunWorld(setup, GetParam())[0].weights, RunWorld(setup, GetParam())[0].weights);
}

TEST_P(ExecutorWorldTest, AFailureOnOneRankIsKnownToAllAndUpdatesNothing) {
  Experiment setup;
  const int culprit = GetParam() - 1;
  setup.meddle = [&](int rank, int64_t step, Batch batch) -> absl::StatusOr<Batch> {
    if (rank == culprit && step == 2) return absl::DataLossError("text.bin is torn");
    return batch;
  };
  Experiment two_steps;
  two_steps.steps = 2;
  const std::vector<Outcome> expected = RunWorld(two_steps, GetParam());
  for (const Outcome& rank : RunWorld(setup, GetParam())) {
    EXPECT_NE(rank.status.message().find(absl::StrCat("rank ", culprit, ": ")), std::string::npos) << rank.status;
    EXPECT_NE(rank.status.message().find("text.bin is torn"), std::string::npos) << rank.status;
    EXPECT_EQ(rank.weights, expected[0].weights);
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, ExecutorWorldTest, testing::Values(1, 2, 3, 4),
                         [](const auto& info) { return absl::StrCat("World", info.param); });

// Most activation bytes that evaluating one micro-batch held at once; what is left of them afterwards must be 0.
int64_t EvaluationPeak(int64_t layers) {
  ModelConfig config = Tiny();
  config.layers = layers;
  const Model model = *MakeGpt2(config);
  GroupStates groups = MakeGroupStates(model, 1);
  for (const auto& group : groups) group->Initialize(1);
  SoloCommunicator solo;
  Executor executor(model, groups, solo, nullptr);
  PlayInputs inputs;
  inputs.mode = PassMode::kEvaluate;
  inputs.global_index = [](int m) { return m; };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> { return MakeBatch(0, m, 64, config.context); };
  const int64_t before = TestBooks().live(Category::kActivations);
  TestBooks().ResetPeaks();
  EXPECT_TRUE(executor.Play(WriteEvaluation(ShapeOf(model), 2), inputs).ok());
  EXPECT_EQ(TestBooks().live(Category::kActivations), before) << "evaluation left something behind";
  return TestBooks().peak(Category::kActivations) - before;
}

// Bytes that forward of every segment but the head keeps for backward.
int64_t RetainedBytes(const std::string& precision) {
  ModelConfig config = Tiny();
  config.width = 128;
  config.ffn = 512;
  config.context = 64;
  Model model = *MakeGpt2(config);
  EXPECT_TRUE(ApplyPrecision(precision, {}, &model).ok());
  GroupStates groups = MakeGroupStates(model, 1);
  for (const auto& group : groups) group->Initialize(1);
  const Batch batch = MakeBatch(0, 0, 4, config.context);
  SegmentContext context;
  context.batch = &batch;
  CategoryScope scope(Category::kActivations);
  const int64_t before = TestBooks().live(Category::kActivations);  // installs it, if this is the first
  std::vector<Tape> tapes(model.segments.size() - 1);
  std::vector<at::Tensor> flow;
  for (size_t s = 0; s < tapes.size(); ++s) {
    context.compute = model.segments[s].compute;
    flow = RunForward(model.segments[s], flow, ParametersFor(model.segments[s], groups, true), context, &tapes[s]);
  }
  return TestBooks().live(Category::kActivations) - before;
}

TEST(ExecutorTest, Bf16RetainsLittleMoreThanHalfOfTheActivationBytes) {
  const int64_t fp32 = RetainedBytes("fp32"), bf16 = RetainedBytes("bf16");
  EXPECT_GT(fp32, 4 * 64 * 128 * 4 * 20);  // what is kept, is counted
  EXPECT_LE(bf16, fp32 * 55 / 100) << "of " << fp32;
}

TEST(ExecutorTest, EvaluatingTwelveLayersHoldsNoMoreThanEvaluatingOne) {
  const int64_t one = EvaluationPeak(1), twelve = EvaluationPeak(12);
  EXPECT_GT(one, 0);
  EXPECT_LE(twelve, one + one / 20);
}

TEST(ExecutorTest, GradientsAndCopiesAreHeldOnlyWhileTheStepNeedsThem) {
  const int64_t gradients = TestBooks().live(Category::kGradients);
  const int64_t copies = TestBooks().live(Category::kParameters);
  const int64_t last_norm = 2 * Tiny().width * 4;  // a group without copies: its parameters stay in fp32
  for (const char* precision : {"fp32", "bf16"}) {
    Experiment setup;
    setup.precision = precision;
    setup.steps = 2;
    std::vector<int64_t> gradients_at_start, parameters_at_start, parameters_at_agree;
    setup.meddle = [&](int, int64_t, Batch batch) -> absl::StatusOr<Batch> {
      gradients_at_start.push_back(TestBooks().live(Category::kGradients) - gradients);
      parameters_at_start.push_back(TestBooks().live(Category::kParameters) - copies);
      return batch;
    };
    setup.before_agree = [&] { parameters_at_agree.push_back(TestBooks().live(Category::kParameters) - copies); };
    setup.global_batch = setup.micro_batch;  // one micro-batch: the step begins where its batch is read
    const Outcome outcome = RunSolo(setup);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    EXPECT_EQ(gradients_at_start, (std::vector<int64_t>{0, 0})) << precision;
    ASSERT_EQ(parameters_at_agree.size(), 2u);
    if (setup.precision == "bf16") {
      EXPECT_EQ(parameters_at_start[0], last_norm);  // copies are made by the first forward that wants them
      EXPECT_GT(parameters_at_start[1], last_norm);  // written by the update before
      EXPECT_EQ(parameters_at_agree, (std::vector<int64_t>{last_norm, last_norm}));
    } else {
      EXPECT_EQ(parameters_at_agree, parameters_at_start);
    }
    EXPECT_EQ(TestBooks().live(Category::kGradients), gradients) << precision;
  }
}

TEST(ShapeOfTest, OnlyTheHeadReadsTheCopyOfATiedMatrix) {
  Model model = *MakeGpt2(Tiny());
  ASSERT_TRUE(ApplyPrecision("bf16", {}, &model).ok());
  const ModelShape shape = ShapeOf(model);
  ASSERT_TRUE(shape.has_copies(0));
  const int last = static_cast<int>(model.segments.size()) - 1;
  for (int s = 0; s <= last; ++s) {
    const std::vector<int>& read = shape.read_by_backward(s);
    EXPECT_EQ(std::count(read.begin(), read.end(), 0), s == last ? 1 : 0) << shape.segments[s];
  }
}

TEST(ExecutorTest, TheObserverIsToldOfEveryInstructionInPairsInOrderAndOfAFailedStepToo) {
  class Watch final : public InstructionObserver {
   public:
    void Before(const Instruction& instruction) override {
      EXPECT_FALSE(inside_);
      inside_ = true;
      played.emplace_back(instruction.op, instruction.target, instruction.micro);
    }
    void After(const Instruction& instruction) override {
      EXPECT_TRUE(inside_);
      inside_ = false;
      EXPECT_EQ(std::make_tuple(instruction.op, instruction.target, instruction.micro), played.back());
    }
    std::vector<std::tuple<Op, int, int>> played;

   private:
    bool inside_ = false;
  };
  std::vector<std::tuple<Op, int, int>> expected;
  const Model model = *MakeGpt2(Tiny());
  for (const Instruction& i : WriteTrainStep(ShapeOf(model), 4).instructions) {
    expected.emplace_back(i.op, i.target, i.micro);
  }
  Experiment setup;
  setup.steps = 1;
  Watch watch;
  setup.observer = &watch;
  const Outcome observed = RunSolo(setup);
  EXPECT_EQ(watch.played, expected);
  setup.observer = nullptr;
  EXPECT_EQ(observed.weights, RunSolo(setup).weights) << "looking changes nothing";

  watch.played.clear();
  setup.observer = &watch;
  setup.meddle = [](int, int64_t, Batch) -> absl::StatusOr<Batch> { return absl::DataLossError("torn"); };
  EXPECT_FALSE(RunSolo(setup).status.ok());
  const auto agree = std::find(expected.begin(), expected.end(), std::make_tuple(Op::kAgree, -1, -1));
  ASSERT_NE(agree, expected.end());
  expected.erase(std::next(agree), expected.end());
  EXPECT_EQ(watch.played, expected) << "up to agree, which tells of the failure";
}

TEST(ExecutorTest, AGroupThatNoSegmentUsesHasNoGradientsAndNoPartInTheNorm) {
  Experiment setup;
  setup.steps = 2;
  TestBooks().ResetPeaks();
  const int64_t before = TestBooks().live(Category::kGradients);
  const Outcome plain = RunWorld(setup, 2)[0];
  const int64_t peak = TestBooks().peak(Category::kGradients) - before;
  ASSERT_TRUE(plain.status.ok()) << plain.status;
  EXPECT_GT(peak, 0);
  setup.change_model = [](Model* model) {
    GroupSpec spare;
    spare.name = "spare";
    spare.parameters = {{"spare.weight", {1000, 1000}}};
    model->groups.push_back(spare);
  };
  TestBooks().ResetPeaks();
  const Outcome spare = RunWorld(setup, 2)[0];
  EXPECT_TRUE(spare.status.ok()) << spare.status;
  EXPECT_EQ(TestBooks().peak(Category::kGradients) - before, peak);
  EXPECT_EQ(spare.norms, plain.norms);
  EXPECT_EQ(spare.losses, plain.losses);
}

TEST(ExecutorTest, AnUnsoundScheduleIsRefusedBeforeAnythingIsPlayed) {
  const Model model = *MakeGpt2(Tiny());
  GroupStates groups = MakeGroupStates(model, 1);
  for (const auto& group : groups) group->Initialize(1);
  SoloCommunicator solo;
  const auto optimizer = MakeOptimizer(OptimizerConfig());
  Executor executor(model, groups, solo, optimizer->get());
  Schedule schedule = WriteTrainStep(ShapeOf(model), 2);
  PlayInputs inputs;
  int batches = 0;
  inputs.global_index = [](int m) { return m; };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
    ++batches;
    return MakeBatch(0, m, 1, Tiny().context);
  };
  inputs.scalars = [](const AgreementVerdict&) -> absl::StatusOr<UpdateScalars> {
    UpdateScalars scalars;
    scalars.step = 1;
    return scalars;
  };
  EXPECT_TRUE(executor.Play(schedule, inputs).ok());
  EXPECT_EQ(batches, 2);

  const auto wait = std::find_if(schedule.instructions.begin(), schedule.instructions.end(),
                                 [](const Instruction& i) { return i.op == Op::kWait && i.event == 1; });
  ASSERT_NE(wait, schedule.instructions.end());
  schedule.instructions.erase(wait);
  const absl::Status status = executor.Play(schedule, inputs).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find("(agree): event e1 has not been waited for"), std::string::npos) << status;
  EXPECT_EQ(batches, 2);
}

TEST(ExecutorTest, AnExceptionOfLibTorchBecomesAStatusThatNamesTheInstruction) {
  Experiment setup;
  setup.meddle = [](int, int64_t, Batch batch) -> absl::StatusOr<Batch> {
    batch.tensors["targets"] = at::empty({1}, at::kInt);  // wrong dtype
    return batch;
  };
  const Outcome outcome = RunSolo(setup);
  EXPECT_FALSE(outcome.status.ok());
  EXPECT_NE(outcome.status.message().find("forward head"), std::string::npos) << outcome.status;
}

}  // namespace
}  // namespace stowage
