// Own torch::nn modules as segments: trained end to end, alone and on several ranks; and what is refused.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/functional.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>

#include <cmath>
#include <limits>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernels/dry.h"
#include "sharding/in_process_group.h"
#include "sharding/solo_communicator.h"
#include "trainer/executor/executor.h"
#include "trainer/model/precision.h"
#include "trainer/module/generator_scope.h"
#include "trainer/module/model_builder.h"
#include "trainer/run/module_buffers.h"

namespace stowage {
namespace {

using testing::HasSubstr;

constexpr int64_t kFeatures = 6, kClasses = 3, kMicroBatch = 4, kGlobalBatch = 12;

// Sample i of step s: a class by i, features around that class's place, a function of (s, i) alone.
Batch MakeBatch(int64_t step, int64_t first, int64_t count) {
  Batch batch;
  if (count == 0) return batch;
  at::Tensor inputs = at::empty({count, kFeatures}), targets = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t sample = first + i;
    targets.data_ptr<int64_t>()[i] = sample % kClasses;
    for (int64_t f = 0; f < kFeatures; ++f) {
      const double noise = std::sin(12.9898 * (sample + 1) + 78.233 * (f + 1) + 37.719 * (step + 1));
      inputs.data_ptr<float>()[i * kFeatures + f] =
          static_cast<float>((f == sample % kClasses ? 1.5 : 0.0) + 0.3 * noise);
    }
  }
  batch.tensors = {{"inputs", inputs}, {"targets", targets}};
  batch.samples = batch.loss_terms = count;
  return batch;
}

at::Tensor SummedCrossEntropy(const at::Tensor& out, const Batch& batch) {
  return at::cross_entropy_loss(out, batch.at("targets"), {}, at::Reduction::Sum);
}

// A struct of one's own, not a holder.
struct Block : torch::nn::Module {
  explicit Block(int64_t width, double dropout = 0.0) : p(dropout) {
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
    linear = register_module("linear", torch::nn::Linear(width, width));
    drop = register_module("drop", torch::nn::Dropout(p));
  }
  at::Tensor forward(const at::Tensor& x) { return x + drop(linear(norm(x)).relu()); }
  double p;
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear linear{nullptr};
  torch::nn::Dropout drop{nullptr};
};

ModelBuilder Net(double dropout = 0.0) {
  ModelBuilder b;
  b.Add("stem", [] { return torch::nn::Sequential(torch::nn::Linear(kFeatures, 8), torch::nn::Tanh()); });
  b.Add("block", [dropout] { return std::make_shared<Block>(8, dropout); });
  b.Add("head", [] { return torch::nn::Linear(8, kClasses); });
  b.Loss(SummedCrossEntropy);
  return b;
}

ModelBuilder NetWithBatchNorm() {
  ModelBuilder b;
  b.Add("stem", [] { return torch::nn::Sequential(torch::nn::Linear(kFeatures, 8), torch::nn::BatchNorm1d(8)); });
  b.Add("head", [] { return torch::nn::Linear(8, kClasses); });
  b.Loss(SummedCrossEntropy);
  return b;
}

struct Outcome {
  absl::Status status;
  std::vector<double> losses;
  double validation_loss = 0.0;
  std::vector<std::vector<float>> weights;  // by group
  std::vector<std::vector<float>> buffers;  // floating ones
  std::vector<int64_t> counts;              // whole ones
};

absl::StatusOr<AgreementVerdict> Evaluate(Executor& executor, const Model& model, int rank, int world_size) {
  const MicroBatchCut cut{kGlobalBatch, kMicroBatch, world_size};
  PlayInputs inputs;
  inputs.mode = PassMode::kEvaluate;
  inputs.global_index = [=](int m) { return cut.GlobalIndex(rank, m); };
  inputs.batch = [=](int m) -> absl::StatusOr<Batch> {
    const int64_t index = cut.GlobalIndex(rank, m);
    return MakeBatch(1000, cut.First(index), cut.Size(index));
  };
  return executor.Play(WriteEvaluation(ShapeOf(model), cut.per_rank()), inputs);
}

Outcome RunRank(ModelBuilder builder, int steps, uint64_t seed, Communicator& communicator,
                const std::string& precision = "fp32") {
  Outcome outcome;
  absl::StatusOr<Model> built = builder.Build();
  if (!built.ok()) return {built.status()};
  if (absl::Status applied = ApplyPrecision(precision, {}, &*built); !applied.ok()) return {applied};
  const Model model = *std::move(built);
  GroupStates groups = MakeGroupStates(model, communicator.world_size());
  for (const auto& group : groups) group->Initialize(seed);
  const auto optimizer = MakeOptimizer(OptimizerConfig());
  Executor executor(model, groups, communicator, optimizer->get());
  const int rank = communicator.rank();
  const MicroBatchCut cut{kGlobalBatch, kMicroBatch, communicator.world_size()};
  const Schedule schedule = WriteTrainStep(ShapeOf(model), cut.per_rank());
  for (int64_t step = 0; step < steps; ++step) {
    PlayInputs inputs;
    inputs.seed = seed;
    inputs.step = step;
    inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
    inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
      const int64_t index = cut.GlobalIndex(rank, m);
      return MakeBatch(step, cut.First(index), cut.Size(index));
    };
    inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
      UpdateScalars scalars;
      scalars.lr = 1e-2;
      scalars.step = step + 1;
      scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
      return scalars;
    };
    const absl::StatusOr<AgreementVerdict> verdict = executor.Play(schedule, inputs);
    if (!verdict.ok()) return {verdict.status()};
    outcome.losses.push_back(verdict->loss_sum / static_cast<double>(verdict->tokens));
  }
  outcome.status = AverageBuffers(model, communicator);
  const absl::StatusOr<AgreementVerdict> verdict = Evaluate(executor, model, rank, communicator.world_size());
  if (!verdict.ok()) return {verdict.status()};
  outcome.validation_loss = verdict->loss_sum / static_cast<double>(verdict->tokens);
  for (const auto& group : groups) {
    std::vector<float> values;
    for (int i = 0; i < group->layout().parameters(); ++i) {
      const float* from = group->parameters_data() + group->layout().offset(i);
      values.insert(values.end(), from, from + group->layout().numel(i));
    }
    outcome.weights.push_back(std::move(values));
  }
  for (const ModuleBuffer& b : BuffersOf(model)) {
    if (b.dtype == DType::kInt64) {
      outcome.counts.push_back(*static_cast<const int64_t*>(b.data));
    } else {
      const float* from = static_cast<const float*>(b.data);
      outcome.buffers.emplace_back(from, from + b.numel);
    }
  }
  return outcome;
}

Outcome RunSolo(ModelBuilder builder, int steps, uint64_t seed = 1, const std::string& precision = "fp32") {
  SoloCommunicator solo;
  return RunRank(std::move(builder), steps, seed, solo, precision);
}

std::vector<Outcome> RunWorld(const std::function<ModelBuilder()>& net, int steps, int world_size) {
  const auto communicators = InProcessGroup::Create(world_size);
  std::vector<Outcome> outcomes(world_size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] { outcomes[rank] = RunRank(net(), steps, 1, *communicators[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

// A net of one segment of the caller's before the head.
template <typename Make>
ModelBuilder NetWith(Make make, int64_t head_inputs = 8) {
  ModelBuilder b;
  b.Add("mine", make);
  b.Add("head", [head_inputs] { return torch::nn::Linear(head_inputs, kClasses); });
  b.Loss(SummedCrossEntropy);
  return b;
}

std::string MessageOf(ModelBuilder builder, int steps = 1) {
  return std::string(RunSolo(std::move(builder), steps).status.message());
}

TEST(ModuleTest, LossFallsAndTheModelLearns) {
  const Outcome outcome = RunSolo(Net(), 60);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_LT(outcome.losses.back(), 0.3 * outcome.losses.front());
  EXPECT_LT(outcome.validation_loss, 0.3 * outcome.losses.front());
}

TEST(ModuleTest, TheSameSeedGivesTheSameBitsWithDropoutAndAnotherSeedOthers) {
  const Outcome a = RunSolo(Net(0.3), 10, 1), b = RunSolo(Net(0.3), 10, 1), c = RunSolo(Net(0.3), 10, 2);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_NE(a.weights, c.weights);
  EXPECT_NE(a.losses, RunSolo(Net(0.0), 10, 1).losses) << "dropout did nothing";
}

TEST(ModuleTest, ASegmentsStartingValuesDoNotDependOnTheOthers) {
  ModelBuilder b;
  b.Add("another", [] { return torch::nn::Linear(kFeatures, kFeatures); });
  b.Add("stem", [] { return torch::nn::Sequential(torch::nn::Linear(kFeatures, 8), torch::nn::Tanh()); });
  b.Add("head", [] { return torch::nn::Linear(8, kClasses); });
  b.Loss(SummedCrossEntropy);
  const Outcome with = RunSolo(std::move(b), 0), without = RunSolo(Net(), 0);
  ASSERT_TRUE(with.status.ok()) << with.status;
  EXPECT_EQ(with.weights[1], without.weights[0]);
}

TEST(ModuleTest, StartingValuesAreTheModulesOwn) {
  const Outcome outcome = RunSolo(NetWith([] {
                                    auto linear = torch::nn::Linear(kFeatures, 8);
                                    at::NoGradGuard guard;
                                    linear->weight.fill_(0.25);
                                    return linear;
                                  }),
                                  0);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  for (int i = 0; i < kFeatures * 8; ++i) ASSERT_EQ(outcome.weights[0][i], 0.25f) << i;
}

TEST(ModuleTest, LibTorchsGeneratorIsAsBefore) {
  torch::manual_seed(5);
  const at::Tensor expected = torch::rand({4});
  torch::manual_seed(5);
  ASSERT_TRUE(RunSolo(Net(0.3), 2).status.ok());
  EXPECT_TRUE(at::equal(torch::rand({4}), expected));
}

class ModuleWorldTest : public testing::TestWithParam<int> {};

TEST_P(ModuleWorldTest, LossesEqualOneRankWithDropout) {
  const Outcome solo = RunSolo(Net(0.2), 8);
  for (const Outcome& rank : RunWorld([] { return Net(0.2); }, 8, GetParam())) {
    ASSERT_TRUE(rank.status.ok()) << rank.status;
    ASSERT_EQ(rank.losses.size(), solo.losses.size());
    for (size_t i = 0; i < solo.losses.size(); ++i) EXPECT_NEAR(rank.losses[i] / solo.losses[i], 1.0, 1e-5) << i;
    EXPECT_NEAR(rank.validation_loss / solo.validation_loss, 1.0, 1e-5);
  }
}

TEST_P(ModuleWorldTest, RunningStatisticsAreTheSameOnAllRanksAfterAveraging) {
  const std::vector<Outcome> world = RunWorld(NetWithBatchNorm, 3, GetParam());
  for (const Outcome& rank : world) {
    ASSERT_TRUE(rank.status.ok()) << rank.status;
    ASSERT_EQ(rank.buffers.size(), 2u);
    EXPECT_EQ(rank.buffers, world[0].buffers);
    EXPECT_EQ(rank.validation_loss, world[0].validation_loss);
    // 3 micro-batches a step; the largest count is rank 0's.
    EXPECT_EQ(rank.counts, std::vector<int64_t>{3 * ((3 + GetParam() - 1) / GetParam())});
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, ModuleWorldTest, testing::Values(1, 2, 3),
                         [](const auto& info) { return absl::StrCat("World", info.param); });

TEST(ModuleBufferTest, FloatingOnesBecomeTheMeanOverRanksAndWholeOnesTheLargest) {
  const auto communicators = InProcessGroup::Create(2);
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> means(2);
  std::vector<int64_t> counts(2);
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      const Model model = *NetWithBatchNorm().Build();
      for (const ModuleBuffer& b : BuffersOf(model)) {
        if (b.dtype == DType::kInt64) {
          *static_cast<int64_t*>(b.data) = 5 + rank;
        } else {
          std::fill_n(static_cast<float*>(b.data), b.numel, rank == 0 ? 1.0f : 4.0f);
        }
      }
      ASSERT_TRUE(AverageBuffers(model, *communicators[rank]).ok());
      for (const ModuleBuffer& b : BuffersOf(model)) {
        if (b.dtype == DType::kInt64) {
          counts[rank] = *static_cast<const int64_t*>(b.data);
        } else if (b.name == "stem.1.running_mean") {
          means[rank].assign(static_cast<const float*>(b.data), static_cast<const float*>(b.data) + b.numel);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(means[rank], std::vector<float>(8, 2.5f)) << rank;
    EXPECT_EQ(counts[rank], 6) << rank;
  }
}

TEST(ModuleTest, NormsKeepFp32) {
  const Model model = *Net().Build();
  for (const GroupSpec& group : model.groups) {
    for (const ParameterSpec& p : group.parameters) {
      EXPECT_EQ(p.keep_fp32, p.name == "block.norm.weight" || p.name == "block.norm.bias") << p.name;
    }
  }
}

// The features as one image of 2 x 3 pixels, and what images are usually worked on with.
ModelBuilder ImageNet() {
  ModelBuilder b;
  b.Add("stem", [] {
    return torch::nn::Sequential(torch::nn::Functional([](at::Tensor x) {
                                   return x.view({-1, 1, 2, 3});
                                 }),
                                 torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 8, 3).padding(1)),
                                 torch::nn::GroupNorm(2, 8), torch::nn::ReLU());
  });
  b.Add("block", [] {
    return torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1).bias(false)),
                                 torch::nn::GroupNorm(4, 8), torch::nn::ReLU(), torch::nn::Flatten());
  });
  b.Add("head", [] { return torch::nn::Linear(48, kClasses); });
  b.Loss(SummedCrossEntropy);
  return b;
}

// bf16 keeps 8 bits: values and gradients are off by up to 1 in 256 here and there, the loss, over many of them, by
// less. The weights must have been updated as well as in fp32, or the loss after some steps is not the same.
TEST(ModuleTest, ModulesTrainInBf16AsInFp32) {
  for (const bool images : {false, true}) {
    const auto net = [=] { return images ? ImageNet() : Net(); };
    const Outcome fp32 = RunSolo(net(), 25, 1, "fp32"), bf16 = RunSolo(net(), 25, 1, "bf16");
    ASSERT_TRUE(fp32.status.ok()) << fp32.status;
    ASSERT_TRUE(bf16.status.ok()) << bf16.status;
    EXPECT_NE(bf16.losses, fp32.losses) << "computed in fp32 both times";
    EXPECT_LT(fp32.losses.back(), 0.8 * fp32.losses.front()) << "nothing was learnt in these steps";
    for (size_t i = 0; i < fp32.losses.size(); ++i) EXPECT_NEAR(bf16.losses[i] / fp32.losses[i], 1.0, 0.02) << i;
    EXPECT_NEAR(bf16.validation_loss / fp32.validation_loss, 1.0, 0.02);
  }
}

TEST(ModuleTest, ModulesWithSeveralTensorsAndTheBatchAreCalled) {
  struct Two : torch::nn::Module {
    Two() { linear = register_module("linear", torch::nn::Linear(kFeatures, 8)); }
    std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& x, const Batch& batch) {
      return {linear(x), batch.at("targets").to(at::kFloat)};
    }
    torch::nn::Linear linear{nullptr};
  };
  struct Join : torch::nn::Module {
    at::Tensor forward(const at::Tensor& x, const at::Tensor& y) { return x + 0.0 * y.unsqueeze(1); }
  };
  ModelBuilder b;
  b.Add("two", [] { return std::make_shared<Two>(); });
  b.Add("join", [] { return std::make_shared<Join>(); });
  b.Add("gru",
        [] { return torch::nn::Sequential(torch::nn::Functional([](at::Tensor x) { return x.unsqueeze(0); })); });
  b.Add("lstm", [] { return torch::nn::LSTM(8, 8); });
  b.Add("head", [] { return torch::nn::Linear(8, kClasses); });
  b.Loss([](const std::vector<at::Tensor>& out, const Batch& batch) {
    return at::cross_entropy_loss(out.at(0).squeeze(0), batch.at("targets"), {}, at::Reduction::Sum);
  });
  // The LSTM gives three tensors, of which the head takes one: refused, and named.
  EXPECT_THAT(MessageOf(std::move(b)),
              HasSubstr("segment head, given [1, 4, 8] Float and [1, 4, 8] Float and [1, 4, 8] "
                        "Float by segment lstm: its module's forward does not take 3 tensors"));
}

TEST(ModuleTest, AShapeThatTheNextModuleDoesNotTakeNamesBothSegmentsAndTheShape) {
  const std::string message = MessageOf(NetWith([] { return torch::nn::Linear(kFeatures, 9); }));
  EXPECT_THAT(message, HasSubstr("forward head"));
  EXPECT_THAT(message, HasSubstr("segment head, given [4, 9] Float by segment mine: "));
}

TEST(ModuleTest, AShapeThatTheFirstModuleDoesNotTakeNamesTheData) {
  EXPECT_THAT(MessageOf(NetWith([] { return torch::nn::Linear(kFeatures + 1, 8); })),
              HasSubstr("segment mine, given [4, 6] Float by the data: "));
}

// Keeps the rows whose first feature is positive: how many, only the data knows.
struct Select : torch::nn::Module {
  Select() { linear = register_module("linear", torch::nn::Linear(kFeatures, 8)); }
  at::Tensor forward(const at::Tensor& x) {
    return linear(x).index_select(0, x.select(1, 0).gt(step++ * 0.2).nonzero().squeeze(1));
  }
  int step = 0;
  torch::nn::Linear linear{nullptr};
};

TEST(ModuleTest, ADataDependentShapeAcrossABoundaryIsATypedErrorThatNamesTheSegment) {
  ModelBuilder b;
  b.Add("select", [] { return std::make_shared<Select>(); });
  b.Add("head", [] { return torch::nn::Linear(8, kClasses); });
  b.Loss([](const at::Tensor& out, const Batch&) { return out.sum(); });
  const std::string message = MessageOf(std::move(b), 10);
  EXPECT_THAT(message, HasSubstr("segment select gives ["));
  EXPECT_THAT(message, HasSubstr("a shape that depends on data cannot leave a segment"));
}

TEST(ModuleTest, ADataDependentShapeInsideASegmentTrains) {
  struct Inside : torch::nn::Module {
    Inside() { select = register_module("select", std::make_shared<Select>()); }
    at::Tensor forward(const at::Tensor& x) {
      return x.new_zeros({x.size(0), 8}) + select->forward(x).sum(0, /*keepdim=*/true);
    }
    std::shared_ptr<Select> select;
  };
  const Outcome outcome = RunSolo(NetWith([] { return std::make_shared<Inside>(); }), 3);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
}

TEST(LossTest, WhatIsNoLossIsRefusedInWords) {
  const auto with_loss = [](auto loss) {
    ModelBuilder b;
    b.Add("head", [] { return torch::nn::Linear(kFeatures, kClasses); });
    b.Loss(loss);
    return MessageOf(std::move(b));
  };
  EXPECT_THAT(with_loss([](const at::Tensor& out, const Batch&) { return out.sum(1); }),
              HasSubstr("forward loss: what the loss function returned is no loss: it has the shape [4]"));
  EXPECT_THAT(with_loss([](const at::Tensor& out, const Batch&) { return out.detach().sum(); }),
              HasSubstr("it does not depend on what the model gave"));
  EXPECT_THAT(with_loss([](const at::Tensor& out, const Batch&) { return out.argmax(1).sum(); }),
              HasSubstr("it is Long, no floating number"));
  EXPECT_THAT(with_loss([](const at::Tensor&, const Batch&) { return at::Tensor(); }),
              HasSubstr("it is an undefined tensor"));
  EXPECT_THAT(with_loss([](const at::Tensor& out, const Batch& b) { return (out - b.at("labels")).sum(); }),
              HasSubstr("asks the batch for a tensor that it does not have; it has inputs, targets"));
  EXPECT_THAT(with_loss([](const at::Tensor& out, const Batch& b) { return (out - b.at("inputs")).sum(); }),
              HasSubstr("the loss function, given [4, 3] by segment head: "));
}

TEST(LossTest, ALossThatIsNoNumberReachesTheVerdict) {
  ModelBuilder b;
  b.Add("head", [] { return torch::nn::Linear(kFeatures, kClasses); });
  b.Loss([](const at::Tensor& out, const Batch&) { return out.sum() * std::numeric_limits<double>::quiet_NaN(); });
  const Outcome outcome = RunSolo(std::move(b), 1);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;  // the training loop stops on it
  EXPECT_TRUE(std::isnan(outcome.losses[0]));
}

TEST(ModelBuilderTest, WhatMakesNoModelIsRefusedAndNamed) {
  const auto message = [](ModelBuilder b) { return std::string(b.Build().status().message()); };
  EXPECT_THAT(message(ModelBuilder()), HasSubstr("the model has no segment"));
  {
    ModelBuilder b;
    b.Add("a", [] { return torch::nn::Linear(1, 1); });
    EXPECT_THAT(message(std::move(b)), HasSubstr("the model has no loss"));
  }
  {
    ModelBuilder b = Net();
    b.Add("head", [] { return torch::nn::Linear(1, 1); });
    EXPECT_THAT(message(std::move(b)), HasSubstr("two segments are called head"));
  }
  {
    ModelBuilder b = Net();
    b.Add("a@b", [] { return torch::nn::Linear(1, 1); });
    EXPECT_THAT(message(std::move(b)), HasSubstr("segment \"a@b\": a name is letters"));
  }
  {
    ModelBuilder b;
    b.Add("tanh", [] { return torch::nn::Tanh(); });
    b.Loss(SummedCrossEntropy);
    EXPECT_THAT(message(std::move(b)), HasSubstr("the model has no parameter"));
  }
  EXPECT_THAT(message(NetWith([]() -> torch::nn::Linear { throw std::runtime_error("no luck"); })),
              HasSubstr("segment mine: its module could not be made: no luck"));
  EXPECT_THAT(message(NetWith([] { return std::shared_ptr<Block>(); })),
              HasSubstr("segment mine: the function that makes its module gave none"));
  EXPECT_THAT(message(NetWith([] {
                auto linear = torch::nn::Linear(kFeatures, 8);
                linear->to(at::kDouble);
                return linear;
              })),
              HasSubstr("segment mine: parameter weight: is Double; make it Float"));
  EXPECT_THAT(message(NetWith([] {
                auto linear = torch::nn::Linear(kFeatures, 8);
                linear->bias.set_requires_grad(false);
                return linear;
              })),
              HasSubstr("segment mine: parameter bias: does not require a gradient; frozen parameters are not built"));
}

TEST(ModelBuilderTest, SharedModulesAreRefusedAndNamed) {
  const torch::nn::Linear shared(kFeatures, kFeatures);
  ModelBuilder across;
  across.Add("a", [shared] { return shared; });
  across.Add("b", [shared] { return shared; });
  across.Loss(SummedCrossEntropy);
  EXPECT_THAT(std::string(across.Build().status().message()),
              HasSubstr("parameters a.weight and b.weight are the same tensor: modules that share"));

  struct Twice : torch::nn::Module {
    Twice() {
      torch::nn::Linear linear(kFeatures, 8);
      one = register_module("one", linear);
      two = register_module("two", linear);
    }
    at::Tensor forward(const at::Tensor& x) { return one(x) + two(x); }
    torch::nn::Linear one{nullptr}, two{nullptr};
  };
  EXPECT_THAT(MessageOf(NetWith([] { return std::make_shared<Twice>(); })),
              HasSubstr("parameters mine.one.weight and mine.two.weight are the same tensor"));
}

TEST(GeneratorScopeTest, InADryRunItTakesTheStatesBytesAndLeavesTheGeneratorAlone) {
  const at::Tensor before = at::detail::getDefaultCPUGenerator().get_state();
  EXPECT_EQ(before.numel(), GeneratorScope::kStateBytes);
  {
    const kernels::DryScope dry;
    const GeneratorScope scope(17);
    EXPECT_TRUE(at::equal(at::detail::getDefaultCPUGenerator().get_state(), before));
  }
  EXPECT_TRUE(at::equal(at::detail::getDefaultCPUGenerator().get_state(), before));
}

TEST(ModelBuilderTest, AFunctionThatGivesTheSameModuleAgainIsRefused) {
  const torch::nn::Linear same(kFeatures, 8);
  const Model model = *NetWith([same] { return same; }).Build();
  EXPECT_THROW(model.groups[0].initial_values(1), std::invalid_argument);
}

TEST(ModelBuilderTest, AnInputThatTheBatchLacksIsNamed) {
  ModelBuilder b = Net();
  b.Input({"image"});
  EXPECT_THAT(MessageOf(std::move(b)), HasSubstr("segment stem reads \"image\" of a batch, which has inputs, targets"));
}

}  // namespace
}  // namespace stowage
