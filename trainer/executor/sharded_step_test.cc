// ZeRO 0 to 3 are other schedules of the same step: the same bits, fewer bytes, and the traffic that the paper counts.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "memory/counting_allocator.h"
#include "memory/test_books.h"
#include "sharding/dry_communicator.h"
#include "sharding/in_process_group.h"
#include "trainer/executor/executor.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/precision.h"

namespace stowage {
namespace {

constexpr int64_t kContext = 12, kVocabulary = 50;

ModelConfig Tiny() {
  ModelConfig config;
  config.layers = 3;
  config.width = 32;
  config.heads = 4;
  config.context = kContext;
  config.ffn = 64;
  config.vocabulary = kVocabulary;
  config.dropout = 0.1;
  return config;
}

Batch MakeBatch(int64_t step, int64_t first, int64_t count) {
  Batch batch;
  if (count == 0) return batch;
  at::Tensor tokens = at::empty({count, kContext}, at::kLong), targets = at::empty({count, kContext}, at::kLong);
  for (int64_t i = 0; i < count * kContext; ++i) {
    const uint64_t key = HashKey({static_cast<uint64_t>(step), static_cast<uint64_t>(first * kContext + i)});
    tokens.data_ptr<int64_t>()[i] = static_cast<int64_t>(key % kVocabulary);
    targets.data_ptr<int64_t>()[i] = static_cast<int64_t>(key / 7 % kVocabulary);
  }
  batch.tensors = {{"tokens", tokens}, {"targets", targets}};
  batch.samples = count;
  batch.loss_terms = count * kContext;
  return batch;
}

struct Experiment {
  ModelConfig model = Tiny();
  std::string precision = "fp32";
  std::vector<int> stages = {0};  // of the groups in turn
  bool reduce_per_micro = false;
  int gather_ahead = 1;
  int64_t global_batch = 14;  // of micro-batches of 2: no world size here divides them
  int64_t micro_batch = 2;
  int steps = 5;
  bool release_gradients = true;
  RecomputeSpans spans;
  std::function<void()> before_steps;
  InstructionObserver* observer = nullptr;  // of rank 0
};

struct Outcome {
  absl::Status status;
  std::vector<double> losses, norms, evaluated;
  std::vector<std::vector<float>> weights, moments;  // by group: what this rank owns, of the first state
  int64_t bytes_sent = 0;                            // by the steps
};

Model MakeModel(const Experiment& setup) {
  Model model = *MakeGpt2(setup.model);
  EXPECT_TRUE(ApplyPrecision(setup.precision, {}, &model).ok());
  for (size_t g = 0; g < model.groups.size(); ++g) model.groups[g].zero_stage = setup.stages[g % setup.stages.size()];
  model.reduce_per_micro = setup.reduce_per_micro;
  model.gather_ahead = setup.gather_ahead;
  return model;
}

Outcome RunRank(const Experiment& setup, Communicator& communicator) {
  Outcome outcome;
  const Model model = MakeModel(setup);
  const int rank = communicator.rank(), world_size = communicator.world_size();
  GroupStates groups = MakeGroupStates(model, world_size, rank);
  for (const auto& group : groups) group->Initialize(1);
  const auto optimizer = MakeOptimizer(OptimizerConfig());
  Executor executor(model, groups, communicator, optimizer->get());
  const MicroBatchCut cut{setup.global_batch, setup.micro_batch, world_size};
  ModelShape shape = ShapeOf(model);
  shape.recompute = setup.spans;
  const Schedule schedule = WriteTrainStep(shape, cut.per_rank());
  PlayInputs inputs;
  inputs.seed = 3;
  inputs.release_gradients = setup.release_gradients;
  inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
    const int64_t index = cut.GlobalIndex(rank, m);
    return MakeBatch(inputs.step, cut.First(index), cut.Size(index));
  };
  inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
    UpdateScalars scalars;
    scalars.lr = 1e-2;
    scalars.step = inputs.step + 1;
    scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
    outcome.norms.push_back(verdict.sum_of_squares);
    return scalars;
  };
  if (rank == 0) inputs.observer = setup.observer;
  if (setup.before_steps) setup.before_steps();
  const int64_t sent_before = communicator.bytes_sent();
  for (; inputs.step < setup.steps && outcome.status.ok(); ++inputs.step) {
    const absl::StatusOr<AgreementVerdict> verdict = executor.Play(schedule, inputs);
    outcome.status = verdict.status();
    if (verdict.ok()) outcome.losses.push_back(verdict->loss_sum);
  }
  outcome.bytes_sent = communicator.bytes_sent() - sent_before;
  if (!outcome.status.ok()) return outcome;
  inputs.mode = PassMode::kEvaluate;
  inputs.observer = nullptr;
  const absl::StatusOr<AgreementVerdict> evaluated = executor.Play(WriteEvaluation(shape, cut.per_rank()), inputs);
  outcome.status = evaluated.status();
  if (evaluated.ok()) outcome.evaluated.push_back(evaluated->loss_sum);
  for (const auto& group : groups) {
    outcome.weights.emplace_back(group->masters(), group->masters() + group->owned_numel());
    outcome.moments.emplace_back(group->optimizer_data(0), group->optimizer_data(0) + group->owned_numel());
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

// What all ranks own together, as one rank would hold it.
std::vector<std::vector<float>> Whole(const Experiment& setup, const std::vector<Outcome>& world,
                                      std::vector<std::vector<float>> Outcome::*what) {
  std::vector<std::vector<float>> whole;
  for (size_t g = 0; g < (world[0].*what).size(); ++g) {
    whole.push_back((world[0].*what)[g]);
    if (setup.stages[g % setup.stages.size()] == 0) continue;
    for (size_t rank = 1; rank < world.size(); ++rank) {
      const std::vector<float>& part = (world[rank].*what)[g];
      whole.back().insert(whole.back().end(), part.begin(), part.end());
    }
  }
  return whole;
}

void ExpectSameBits(const Experiment& a_setup, const std::vector<Outcome>& a, const Experiment& b_setup,
                    const std::vector<Outcome>& b) {
  for (const std::vector<Outcome>* world : {&a, &b}) {
    for (const Outcome& rank : *world) ASSERT_TRUE(rank.status.ok()) << rank.status;
  }
  EXPECT_EQ(a[0].losses, b[0].losses);
  EXPECT_EQ(a[0].norms, b[0].norms);
  EXPECT_EQ(a[0].evaluated, b[0].evaluated);
  EXPECT_TRUE(Whole(a_setup, a, &Outcome::weights) == Whole(b_setup, b, &Outcome::weights));
  EXPECT_TRUE(Whole(a_setup, a, &Outcome::moments) == Whole(b_setup, b, &Outcome::moments));
}

class ShardedStepTest : public testing::TestWithParam<std::tuple<int, const char*, bool, int>> {};

TEST_P(ShardedStepTest, EveryStageGivesTheSameBits) {
  const auto& [world_size, precision, per_micro, accumulation] = GetParam();
  Experiment replicated;
  replicated.precision = precision;
  replicated.reduce_per_micro = per_micro;
  // One of them smaller, and on more than one rank the last one null.
  replicated.global_batch = 2 * accumulation * world_size - (world_size > 1 ? 3 : 1);
  const std::vector<Outcome> expected = RunWorld(replicated, world_size);
  for (const std::vector<int>& stages : {std::vector<int>{1}, {2}, {3}, {3, 0, 2, 1}}) {
    Experiment sharded = replicated;
    sharded.stages = stages;
    SCOPED_TRACE(stages.size() > 1 ? std::string("mixed") : absl::StrCat("stage ", stages[0]));
    ExpectSameBits(replicated, expected, sharded, RunWorld(sharded, world_size));
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, ShardedStepTest,
                         testing::Combine(testing::Values(1, 2, 3), testing::Values("fp32", "bf16"), testing::Bool(),
                                          testing::Values(1, 4)),
                         [](const auto& info) {
                           return absl::StrCat("World", std::get<0>(info.param), "_", std::get<1>(info.param),
                                               std::get<2>(info.param) ? "_PerMicro" : "_PerUpdate", "_Accumulation",
                                               std::get<3>(info.param));
                         });

TEST(ShardedStepTest, RecomputedSegmentsGatherTheirParametersAgain) {
  Experiment plain, recomputed;
  for (Experiment* setup : {&plain, &recomputed}) setup->precision = "bf16";
  recomputed.stages = {3};
  const int segments = static_cast<int>(MakeModel(plain).segments.size());
  recomputed.spans = {{0, 3, {}}, {3, segments - 1, {{4, 6, {}}}}};
  ExpectSameBits(plain, RunWorld(plain, 2), recomputed, RunWorld(recomputed, 2));
}

TEST(ShardedStepTest, HowFarAheadIsGatheredAndWhetherGradientsAreKeptDoesNotChangeBits) {
  Experiment one;
  one.stages = {3};
  const std::vector<Outcome> expected = RunWorld(one, 2);
  for (const int ahead : {0, 2, 100}) {
    Experiment other = one;
    other.gather_ahead = ahead;
    other.release_gradients = ahead != 2;
    ExpectSameBits(one, expected, other, RunWorld(other, 2));
  }
}

TEST(ShardedStepTest, MoreRanksThanElementsInAGroupTrainTheSame) {
  // The last norm has 2 x 32 elements, which are four boundaries: of five ranks one has none of them.
  Experiment replicated, sharded;
  replicated.steps = sharded.steps = 2;
  sharded.stages = {3};
  ExpectSameBits(replicated, RunWorld(replicated, 5), sharded, RunWorld(sharded, 5));
}

// What one rank of several holds, by the ledger. The others are not there: what is gathered is any bytes, which changes
// nothing of what is held.
struct Held {
  int64_t parameters = 0, gradients = 0, optimizer = 0;  // the most at once, in a step like all others
  int64_t gradients_at_agree = 0, parameters_at_agree = 0;
};

class LookAtAgree final : public InstructionObserver {
 public:
  explicit LookAtAgree(Held* held) : held_(held) {}
  void Before(const Instruction& instruction) override {
    if (instruction.op != Op::kAgree) return;
    held_->gradients_at_agree = TestBooks().live(Category::kGradients);
    held_->parameters_at_agree = TestBooks().live(Category::kParameters);
  }
  void After(const Instruction&) override {}

 private:
  Held* const held_;
};

Held Measure(const Experiment& setup, int world_size) {
  Held held;
  LookAtAgree look(&held);
  Experiment observed = setup;
  observed.observer = &look;
  DryCommunicator dry(world_size, 1);
  const int64_t parameters = TestBooks().live(Category::kParameters);
  const int64_t gradients = TestBooks().live(Category::kGradients);
  const int64_t optimizer = TestBooks().live(Category::kOptimizer);
  TestBooks().ResetPeaks();
  // The values before the first step are written whole; what is asked is what a step holds.
  observed.steps = 2;
  observed.before_steps = [] { TestBooks().ResetPeaks(); };
  EXPECT_TRUE(RunRank(observed, dry).status.ok());
  held.parameters = TestBooks().peak(Category::kParameters) - parameters;
  held.gradients = TestBooks().peak(Category::kGradients) - gradients;
  held.optimizer = TestBooks().peak(Category::kOptimizer) - optimizer;
  held.gradients_at_agree -= gradients;
  held.parameters_at_agree -= parameters;
  return held;
}

// fp32 bytes of a group and of the model as its ranks hold them together, padding included.
struct Sizes {
  int64_t whole = 0, largest = 0, second = 0;
};

Sizes SizesOf(const Experiment& setup, int world_size) {
  Sizes sizes;
  for (const GroupSpec& group : MakeModel(setup).groups) {
    std::vector<int64_t> numels;
    for (const ParameterSpec& p : group.parameters) numels.push_back(p.numel());
    const int64_t bytes = 4 * FlatLayout(numels, world_size).whole_numel();
    sizes.whole += bytes;
    if (bytes >= sizes.largest)
      sizes.second = std::exchange(sizes.largest, bytes);
    else
      sizes.second = std::max(sizes.second, bytes);
  }
  return sizes;
}

Experiment OneOfFour(int stage) {
  Experiment setup;
  setup.stages = {stage};
  setup.model.layers = 6;
  setup.model.tie = false;  // a tied matrix's gradient is whole from the first of backward to the last
  setup.reduce_per_micro = true;
  setup.global_batch = 16;
  return setup;
}

TEST(ShardedStepTest, Stage1HoldsItsShareOfTheOptimizersState) {
  const Sizes sizes = SizesOf(OneOfFour(1), 4);
  const Held replicated = Measure(OneOfFour(0), 4), held = Measure(OneOfFour(1), 4);
  EXPECT_EQ(replicated.optimizer, 2 * sizes.whole);
  EXPECT_EQ(held.optimizer, 2 * sizes.whole / 4);
  EXPECT_EQ(held.parameters, replicated.parameters);
}

TEST(ShardedStepTest, Stage2HoldsItsShareOfTheGradientsAndTwoBuffers) {
  const Sizes sizes = SizesOf(OneOfFour(2), 4);
  const Held held = Measure(OneOfFour(2), 4);
  EXPECT_EQ(held.optimizer, 2 * sizes.whole / 4);
  EXPECT_EQ(held.gradients_at_agree, sizes.whole / 4);
  EXPECT_LE(held.gradients, sizes.whole / 4 + sizes.largest + sizes.second);
  EXPECT_LT(held.gradients, Measure(OneOfFour(1), 4).gradients * 6 / 10);
}

TEST(ShardedStepTest, Stage3HoldsItsShareOfTheParametersAndTwoGroups) {
  const Sizes sizes = SizesOf(OneOfFour(3), 4);
  const Held held = Measure(OneOfFour(3), 4);
  EXPECT_EQ(held.optimizer, 2 * sizes.whole / 4);
  EXPECT_EQ(held.parameters_at_agree, sizes.whole / 4);
  EXPECT_LE(held.parameters, sizes.whole / 4 + sizes.largest + sizes.second);
  Experiment on_time = OneOfFour(3);
  on_time.gather_ahead = 0;
  EXPECT_LT(Measure(on_time, 4).parameters, held.parameters);
}

TEST(ShardedStepTest, InBf16MastersAreSplitFromStage1OnAndWhatIsGatheredIsBf16) {
  Experiment setup = OneOfFour(1);
  setup.precision = "bf16";
  const Sizes sizes = SizesOf(setup, 4);
  const Held one = Measure(setup, 4);
  // The embedding is read in fp32: its shard is a part of what is whole.
  EXPECT_LE(one.optimizer, 3 * sizes.whole / 4);
  setup.stages = {3};
  const Held three = Measure(setup, 4);
  Experiment fp32 = OneOfFour(3);
  EXPECT_LT(three.parameters, Measure(fp32, 4).parameters);
}

TEST(ShardedStepTest, StateBytesFallAsOneOverTheNumberOfRanks) {
  Experiment setup = OneOfFour(3);
  setup.global_batch = 64;
  for (const int world_size : {1, 2, 4, 8}) {
    const Sizes sizes = SizesOf(setup, world_size);
    const Held held = Measure(setup, world_size);
    EXPECT_EQ(held.optimizer + held.gradients_at_agree + held.parameters_at_agree, 4 * sizes.whole / world_size);
    // Padding: a shard is a whole number of 64-byte boundaries.
    EXPECT_LE(sizes.whole, SizesOf(setup, 1).whole * 105 / 100);
  }
}

TEST(ShardedStepTest, EveryStageSendsWhatThePaperCounts) {
  constexpr int kRanks = 3;
  Experiment setup;
  setup.global_batch = 2 * kRanks;  // one micro-batch each
  setup.steps = 1;
  setup.model.tie = false;
  std::vector<int64_t> sent;
  for (int stage = 0; stage <= 3; ++stage) {
    setup.stages = {stage};
    sent.push_back(RunWorld(setup, kRanks)[0].bytes_sent);
  }
  // Of a collective over a group each rank sends its peers a shard each.
  const int64_t once = SizesOf(setup, kRanks).whole / kRanks * (kRanks - 1);
  const int64_t words = sent[0] - 2 * once;  // what the ranks agree on
  EXPECT_GT(words, 0);
  EXPECT_LT(words, 1000);
  EXPECT_EQ(sent[1] - words, 2 * once);
  EXPECT_EQ(sent[2] - words, 2 * once);
  // A gather for forward and one for backward; less the embedding, whose backward does not read it, and what stays
  // between the two: the head, and the last layer, which is the one gathered ahead.
  int64_t once_only = 0;
  const Model model = MakeModel(setup);
  for (const SegmentSpec* segment :
       {&model.segments.front(), &model.segments[model.segments.size() - 2], &model.segments.back()}) {
    std::vector<int> counted;
    for (const ParameterId& id : segment->parameters) {
      if (std::find(counted.begin(), counted.end(), id.group) != counted.end()) continue;
      counted.push_back(id.group);
      std::vector<int64_t> numels;
      for (const ParameterSpec& p : model.groups[id.group].parameters) numels.push_back(p.numel());
      once_only += 4 * FlatLayout(numels, kRanks).shard_numel() * (kRanks - 1);
    }
  }
  EXPECT_EQ(sent[3] - words, 3 * once - once_only);
  EXPECT_LE(sent[3] - words, 3 * once);  // 1.5 times an all-reduce
}

}  // namespace
}  // namespace stowage
