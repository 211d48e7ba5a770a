// What is recomputed has the bits of what would have been kept: under every policy, of every kind of model.
#include "trainer/model/recompute.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "kernels/gemm.h"
#include "memory/counting_allocator.h"
#include "memory/test_books.h"
#include "sharding/in_process_group.h"
#include "sharding/solo_communicator.h"
#include "trainer/executor/executor.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/precision.h"
#include "trainer/module/model_builder.h"

namespace stowage {
namespace {

constexpr int64_t kContext = 12, kVocabulary = 50, kClasses = 3;

uint64_t Number(int64_t step, int64_t sample, int64_t place) {
  return HashKey({static_cast<uint64_t>(step), static_cast<uint64_t>(sample), static_cast<uint64_t>(place)});
}

Batch Tokens(int64_t step, int64_t first, int64_t count, int64_t context) {
  at::Tensor tokens = at::empty({count, context}, at::kLong), targets = at::empty({count, context}, at::kLong);
  for (int64_t i = 0; i < count * context; ++i) {
    const uint64_t number = Number(step, first + i / context, i % context);
    tokens.data_ptr<int64_t>()[i] = static_cast<int64_t>(number % kVocabulary);
    targets.data_ptr<int64_t>()[i] = static_cast<int64_t>(number / 7 % kVocabulary);
  }
  Batch batch;
  batch.tensors = {{"tokens", tokens}, {"targets", targets}};
  batch.samples = count;
  batch.loss_terms = count * context;
  return batch;
}

Batch Images(int64_t step, int64_t first, int64_t count) {
  at::Tensor inputs = at::empty({count, 1, 8, 8}, at::kFloat), targets = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count * 64; ++i) {
    inputs.data_ptr<float>()[i] = static_cast<float>(Number(step, first + i / 64, i % 64) % 1000) / 500.0f - 1.0f;
  }
  for (int64_t i = 0; i < count; ++i) {
    targets.data_ptr<int64_t>()[i] = static_cast<int64_t>(Number(step, first + i, -1) % kClasses);
  }
  Batch batch;
  batch.tensors = {{"inputs", inputs}, {"targets", targets}};
  batch.samples = batch.loss_terms = count;
  return batch;
}

ModelConfig TinyGpt2() {
  ModelConfig config;
  config.layers = 4;
  config.width = 32;
  config.heads = 4;
  config.context = kContext;
  config.ffn = 64;
  config.vocabulary = kVocabulary;
  config.dropout = 0.1;
  return config;  // its head is tied to the embedding
}

// Scales by a number that each pass in training changes first: what it gives depends on its buffer, and on how often it
// ran.
struct Counting : torch::nn::Module {
  Counting() { seen = register_buffer("seen", at::zeros({1})); }
  at::Tensor forward(const at::Tensor& x) {
    if (is_training()) {
      at::NoGradGuard no_grad;
      seen.add_(1.0);
    }
    return x * (1.0 + 0.1 * seen.clone());
  }
  at::Tensor seen;
};

Model OwnNet() {
  const auto conv = [](int64_t in, int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
  };
  ModelBuilder b;
  b.Add("block.0", [conv] { return torch::nn::Sequential(conv(1, 4), torch::nn::BatchNorm2d(4), torch::nn::ReLU()); });
  b.Add("block.1", [conv] { return torch::nn::Sequential(conv(4, 4), torch::nn::BatchNorm2d(4), torch::nn::ReLU()); });
  b.Add("block.2.ffn", [] { return std::make_shared<Counting>(); });
  b.Add("block.3.attn", [] { return torch::nn::Sequential(torch::nn::Dropout(0.2), torch::nn::Flatten()); });
  b.Add("head", [] { return torch::nn::Linear(4 * 64, kClasses); });
  b.Loss([](const at::Tensor& out, const Batch& batch) {
    return at::cross_entropy_loss(out, batch.at("targets"), {}, at::Reduction::Sum);
  });
  absl::StatusOr<Model> model = b.Build();
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

struct Experiment {
  std::string policy = "none", precision = "fp32";
  bool own_net = false;
  ModelConfig model = TinyGpt2();
  int64_t micro_batch = 3;  // of 12
  int steps = 3;
  InstructionObserver* observer = nullptr;
};

struct Outcome {
  absl::Status status;
  std::vector<double> losses, norms;
  std::vector<std::vector<float>> weights, gradients;  // by group
  std::map<std::string, double> buffers;               // sums
  int64_t activation_peak = 0;
};

bool operator==(const Outcome& a, const Outcome& b) {
  return a.losses == b.losses && a.norms == b.norms && a.weights == b.weights && a.gradients == b.gradients &&
         a.buffers == b.buffers;
}

Outcome RunRank(const Experiment& setup, Communicator& communicator) {
  Outcome outcome;
  Model model = setup.own_net ? OwnNet() : *MakeGpt2(setup.model);
  outcome.status = ApplyPrecision(setup.precision, {}, &model);
  if (outcome.status.ok()) outcome.status = ApplyRecompute(setup.policy, &model);
  if (!outcome.status.ok()) return outcome;
  const int rank = communicator.rank();
  GroupStates groups = MakeGroupStates(model, communicator.world_size(), rank);
  for (const auto& group : groups) group->Initialize(1);
  const auto optimizer = MakeOptimizer(OptimizerConfig());
  Executor executor(model, groups, communicator, optimizer->get());
  const MicroBatchCut cut{12, setup.micro_batch, communicator.world_size()};
  const Schedule schedule = WriteTrainStep(ShapeOf(model), cut.per_rank());
  PlayInputs inputs;
  inputs.seed = 3;
  inputs.observer = setup.observer;
  inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
    const int64_t index = cut.GlobalIndex(rank, m), first = cut.First(index), count = cut.Size(index);
    if (count == 0) return Batch();
    return setup.own_net ? Images(inputs.step, first, count) : Tokens(inputs.step, first, count, setup.model.context);
  };
  inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
    UpdateScalars scalars;
    scalars.lr = 1e-2;
    scalars.step = inputs.step + 1;
    scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
    outcome.norms.push_back(verdict.sum_of_squares);
    return scalars;
  };
  const int64_t before = TestBooks().live(Category::kActivations);
  TestBooks().ResetPeaks();
  for (; inputs.step < setup.steps; ++inputs.step) {
    const absl::StatusOr<AgreementVerdict> verdict = executor.Play(schedule, inputs);
    outcome.status = verdict.status();
    if (!verdict.ok()) return outcome;
    outcome.losses.push_back(verdict->loss_sum);
    EXPECT_EQ(verdict->tokens, setup.own_net ? 12 : 12 * setup.model.context) << "counted once";
  }
  outcome.activation_peak = TestBooks().peak(Category::kActivations) - before;
  for (const auto& group : groups) {
    const int64_t numel = group->layout().whole_numel();
    outcome.weights.emplace_back(group->parameters_data(), group->parameters_data() + numel);
    outcome.gradients.emplace_back(group->gradients_data(), group->gradients_data() + numel);
  }
  for (const SegmentSpec& segment : model.segments) {
    for (const auto& [name, buffer] : segment.segment->Buffers()) {
      outcome.buffers[name] = buffer.to(at::kDouble).sum().item<double>();
    }
  }
  return outcome;
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

Outcome RunSolo(const Experiment& setup) {
  SoloCommunicator solo;
  return RunRank(setup, solo);
}

const char* const kPolicies[] = {"every",      "layer", "{every: 2}",
                                 "{every: 3}", "sqrt",  "sqrt2",
                                 "attention",  "ffn",   "[layer.1.*, layer.2.attn, embedding]"};

void ExpectSameBits(Experiment setup, int world_size) {
  const std::vector<Outcome> none = RunWorld(setup, world_size);
  ASSERT_TRUE(none[0].status.ok()) << none[0].status;
  for (const char* policy : kPolicies) {
    if (setup.own_net && policy[0] == '[') continue;  // it names segments of the other
    setup.policy = policy;
    const std::vector<Outcome> outcomes = RunWorld(setup, world_size);
    for (int rank = 0; rank < world_size; ++rank) {
      ASSERT_TRUE(outcomes[rank].status.ok()) << policy << ": " << outcomes[rank].status;
      EXPECT_EQ(outcomes[rank].losses, none[rank].losses) << policy;
      EXPECT_TRUE(outcomes[rank] == none[rank]) << policy << ", rank " << rank << " of " << world_size;
    }
  }
}

class RecomputeWorldTest : public testing::TestWithParam<int> {};

TEST_P(RecomputeWorldTest, EveryPolicyHasTheBitsOfNoneWithDropoutAndTiedWeights) {
  for (const char* precision : {"fp32", "bf16"}) {
    for (int64_t micro_batch : {12, 3}) {
      SCOPED_TRACE(absl::StrCat(precision, ", micro-batches of ", micro_batch));
      Experiment setup;
      setup.precision = precision;
      setup.micro_batch = micro_batch;
      ExpectSameBits(setup, GetParam());
    }
  }
}

TEST_P(RecomputeWorldTest, ModulesBuffersAreWrittenByTheFirstRunOnlyAndSeenByTheSecondAsByTheFirst) {
  for (const char* precision : {"fp32", "bf16"}) {
    Experiment setup;
    setup.own_net = true;
    setup.precision = precision;
    ExpectSameBits(setup, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, RecomputeWorldTest, testing::Values(1, 2, 3),
                         [](const auto& info) { return absl::StrCat("World", info.param); });

class CountForwards final : public InstructionObserver {
 public:
  void Before(const Instruction& i) override {
    if (i.op == Op::kForward || i.op == Op::kRecompute) ++by_segment[i.target];
  }
  void After(const Instruction&) override {}
  std::map<int, int> by_segment;
};

TEST(RecomputeTest, EachSegmentRunsAsOftenAsItsPolicySays) {
  const Model model = *MakeGpt2(TinyGpt2());
  std::vector<std::string> names;
  for (const SegmentSpec& segment : model.segments) names.push_back(segment.name);
  for (const char* policy : kPolicies) {
    CountForwards counts;
    Experiment setup;
    setup.policy = policy;
    setup.steps = 1;
    setup.observer = &counts;
    ASSERT_TRUE(RunSolo(setup).status.ok());
    const auto spans = SpansOf(*ParseRecomputePolicy(policy), names);
    const std::vector<int> expected = ForwardsOf(*spans, static_cast<int>(names.size()));
    for (size_t s = 0; s < names.size(); ++s) {
      EXPECT_EQ(counts.by_segment[static_cast<int>(s)], 4 * expected[s]) << policy << " " << names[s];
    }
  }
}

// Large enough that what is kept outweighs the head's own.
Experiment Deep(const std::string& policy, const std::string& precision) {
  Experiment setup;
  setup.model.layers = 8;
  setup.model.context = 64;
  setup.policy = policy;
  setup.precision = precision;
  setup.steps = 1;
  return setup;
}

TEST(RecomputeTest, EveryPolicyHoldsFewerActivationsThanNone) {
  for (const char* precision : {"fp32", "bf16"}) {
    std::map<std::string, int64_t> peaks;
    for (const char* policy : {"none", "every", "layer", "{every: 4}", "sqrt", "sqrt2", "attention", "ffn"}) {
      peaks[policy] = RunSolo(Deep(policy, precision)).activation_peak;
      EXPECT_GT(peaks[policy], 0);
      if (peaks.size() > 1) {
        EXPECT_LT(peaks[policy], peaks["none"]) << policy;
      }
    }
    EXPECT_LT(peaks["every"], peaks["none"] / 3);
    EXPECT_LT(peaks["every"], peaks["attention"]);
    EXPECT_LT(peaks["every"], peaks["ffn"]);
    EXPECT_LE(peaks["sqrt2"], peaks["sqrt"]);
  }
}

// Peak of a stack whose memory is that of its layers.
TEST(RecomputeTest, UnderSqrtFourTimesTheLayersTakeLittleMoreThanTwiceTheActivations) {
  const auto peak = [](const char* policy, int64_t layers) {
    Experiment setup = Deep(policy, "fp32");
    setup.model.layers = layers;
    return static_cast<double>(RunSolo(setup).activation_peak);
  };
  EXPECT_LT(peak("sqrt", 32) / peak("sqrt", 8), 2.3);
  EXPECT_GT(peak("none", 32) / peak("none", 8), 3.0);
}

// By the counts that kernels/gemm keeps: a layer's products run once more in three, and the head's not at all.
TEST(RecomputeTest, EverySegmentCostsAThirdMoreProductsOfTheLayersAndNoneOfTheHead) {
  const auto flops = [](const char* policy) {
    const kernels::GemmFlops before = kernels::CountedGemmFlops();
    EXPECT_TRUE(RunSolo(Deep(policy, "fp32")).status.ok());
    return kernels::CountedGemmFlops().fp32 - before.fp32;
  };
  const ModelConfig model = Deep("none", "fp32").model;
  const int64_t head = 3 * 2 * 12 * model.context * model.width * kVocabulary;
  const int64_t none = flops("none") - head, every = flops("every") - head;
  EXPECT_NEAR(static_cast<double>(every) / static_cast<double>(none), 4.0 / 3.0, 0.02);
}

TEST(RecomputeTest, APolicyThatTheModelCannotHaveNamesTheKey) {
  Experiment setup;
  setup.policy = "[layer.1.atn]";
  EXPECT_EQ(RunSolo(setup).status.message(),
            "memory.recompute: no segment of this model is called layer.1.atn; did you mean layer.1.attn?");
  setup.policy = "[layer.*";
  EXPECT_FALSE(RunSolo(setup).status.ok());
}

TEST(RecomputeTest, ANameThatNoSegmentHasIsSaidAtItsPlace) {
  Model model = *MakeGpt2(TinyGpt2());
  const std::map<std::string, std::string> places = {{"memory.recompute", "a.yaml:3:21"},
                                                     {"memory.recompute.0", "a.yaml:3:22"},
                                                     {"memory.recompute.1", "a.yaml:3:37"}};
  EXPECT_EQ(ApplyRecompute("[layer.0.*, layr.*.attn]", &model, places).message(),
            "a.yaml:3:37: memory.recompute: no segment of this model is called layr.*.attn; did you mean "
            "layer.0.attn?");
  EXPECT_EQ(ApplyRecompute("[head]", &model, places).message().substr(0, 30), "a.yaml:3:21: memory.recompute:");
  EXPECT_TRUE(ApplyRecompute("[layer.0.*, layer.*.attn]", &model, places).ok());
}

}  // namespace
}  // namespace stowage
