// Memory ends at each allocation of a step in turn: a typed error, nothing leaks, nothing is changed, and the same step
// can be made again.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "kernels/scratch.h"
#include "memory/counting_allocator.h"
#include "memory/failing_source.h"
#include "memory/test_books.h"
#include "sharding/in_process_group.h"
#include "sharding/solo_communicator.h"
#include "trainer/executor/executor.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/precision.h"
#include "trainer/module/model_builder.h"

namespace stowage {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

// Lives to the end of the process, as its blocks may.
FailingSource& Source() {
  static FailingSource* const source = [] {
    TestBooks();
    auto* made = new FailingSource(InstalledPool());
    SetBlockSource(made);
    // Kernels' scratch from there too, as the program has it.
    kernels::SetScratchFunctions({[](size_t bytes) { return c10::GetCPUAllocator()->raw_allocate(bytes); },
                                  [](void* block) { c10::GetCPUAllocator()->raw_deallocate(block); }});
    return made;
  }();
  return *source;
}

constexpr int64_t kContext = 8, kVocabulary = 30;

absl::StatusOr<Model> MakeTinyGpt2() {
  ModelConfig config;
  config.layers = 2;
  config.width = 16;
  config.heads = 2;
  config.context = kContext;
  config.ffn = 32;
  config.vocabulary = kVocabulary;
  config.dropout = 0.1;
  return MakeGpt2(config);
}

// Modules with state that forward changes.
absl::StatusOr<Model> MakeBatchNormNet() {
  ModelBuilder b;
  for (const char* name : {"one", "two"}) {
    b.Add(name, [] { return torch::nn::Sequential(torch::nn::Linear(4, 4), torch::nn::BatchNorm1d(4)); });
  }
  b.Loss([](const at::Tensor& out, const Batch& batch) {
    return at::cross_entropy_loss(out, batch.at("targets"), {}, at::Reduction::Sum);
  });
  return b.Build();
}

Batch Tokens(int64_t step, int64_t first, int64_t count) {
  at::Tensor tokens = at::empty({count, kContext}, at::kLong), targets = at::empty({count, kContext}, at::kLong);
  for (int64_t i = 0; i < count * kContext; ++i) {
    const uint64_t at = static_cast<uint64_t>(first * kContext + i);
    tokens.data_ptr<int64_t>()[i] = static_cast<int64_t>(HashKey({static_cast<uint64_t>(step), at}) % kVocabulary);
    targets.data_ptr<int64_t>()[i] = static_cast<int64_t>(HashKey({static_cast<uint64_t>(step), at + 1}) % kVocabulary);
  }
  Batch batch;
  batch.tensors = {{"tokens", tokens}, {"targets", targets}};
  batch.samples = count;
  batch.loss_terms = count * kContext;
  return batch;
}

Batch Points(int64_t step, int64_t first, int64_t count) {
  at::Tensor inputs = at::empty({count, 4}), targets = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count * 4; ++i) {
    const uint64_t number = HashKey({static_cast<uint64_t>(step), static_cast<uint64_t>(first * 4 + i)});
    inputs.data_ptr<float>()[i] = static_cast<float>(number % 1000) * 1e-3f;
    targets.data_ptr<int64_t>()[i / 4] = static_cast<int64_t>(number % 4);
  }
  Batch batch;
  batch.tensors = {{"inputs", inputs}, {"targets", targets}};
  batch.samples = count;
  batch.loss_terms = count;
  return batch;
}

struct Experiment {
  absl::StatusOr<Model> (*make)() = MakeTinyGpt2;
  Batch (*batch)(int64_t step, int64_t first, int64_t count) = Tokens;
  std::string precision = "fp32";
  bool release_gradients = true;
};

// All that a step may change, bit by bit. Optimizer state that was not made yet is zeros.
using Bits = std::vector<std::vector<uint8_t>>;

class Trainer {
 public:
  Trainer(const Experiment& experiment, Communicator& communicator)
      : experiment_(experiment),
        communicator_(communicator),
        model_(*experiment.make()),
        optimizer_(*MakeOptimizer(OptimizerConfig())) {
    EXPECT_TRUE(ApplyPrecision(experiment.precision, {}, &model_).ok());
    groups_ = MakeGroupStates(model_, communicator.world_size());
    for (const auto& group : groups_) group->Initialize(1);
    executor_ = std::make_unique<Executor>(model_, groups_, communicator, optimizer_.get());
    Cut(4);
    evaluation_ = WriteEvaluation(ShapeOf(model_), cut_.per_rank());
  }

  // Steps from here on are made with micro-batches of so many samples.
  void Cut(int64_t micro_batch) {
    cut_ = {6, micro_batch, communicator_.world_size()};
    train_ = WriteTrainStep(ShapeOf(model_), cut_.per_rank());
  }

  absl::Status Step(int64_t step) { return Play(train_, PassMode::kTrain, step).status(); }
  absl::StatusOr<AgreementVerdict> Evaluate() { return Play(evaluation_, PassMode::kEvaluate, 0); }

  Bits Take() const {
    Bits bits;
    const auto add = [&](const void* data, int64_t bytes) {
      bits.emplace_back(static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + bytes);
    };
    for (const auto& group : groups_) {
      const int64_t bytes = group->layout().whole_numel() * 4;
      add(group->parameters_data(), bytes);
      for (size_t k = 0; k < optimizer_->state_tensors().size(); ++k) {
        if (group->has_optimizer_state()) add(group->optimizer_data(static_cast<int>(k)), bytes);
        if (!group->has_optimizer_state()) bits.emplace_back(bytes, 0);
      }
    }
    for (const SegmentSpec& segment : model_.segments) {
      for (const auto& [name, tensor] : segment.segment->Buffers()) add(tensor.const_data_ptr(), tensor.nbytes());
    }
    return bits;
  }

  bool holds_gradients() const {
    for (const auto& group : groups_) {
      if (group->has_gradients()) return true;
    }
    return false;
  }

  const Model& model() const { return model_; }

  // Groups with copies in bf16.
  int64_t copied() const {
    int64_t count = 0;
    for (bool copied : ShapeOf(model_).copied) count += copied;
    return count;
  }

 private:
  absl::StatusOr<AgreementVerdict> Play(const Schedule& schedule, PassMode mode, int64_t step) {
    PlayInputs inputs;
    inputs.mode = mode;
    inputs.seed = 3;
    inputs.step = step;
    inputs.release_gradients = experiment_.release_gradients;
    const int rank = communicator_.rank();
    inputs.global_index = [&](int m) { return cut_.GlobalIndex(rank, m); };
    inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
      const int64_t index = cut_.GlobalIndex(rank, m);
      if (cut_.Size(index) == 0) return Batch();
      return experiment_.batch(step, cut_.First(index), cut_.Size(index));
    };
    inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
      UpdateScalars scalars;
      scalars.lr = 1e-2;
      scalars.step = step + 1;
      scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
      return scalars;
    };
    return executor_->Play(schedule, inputs);
  }

  const Experiment experiment_;
  Communicator& communicator_;
  Model model_;
  GroupStates groups_;
  std::unique_ptr<Optimizer> optimizer_;
  MicroBatchCut cut_;
  std::unique_ptr<Executor> executor_;
  Schedule train_, evaluation_;
};

// What one rank does after `before` steps, refused nothing: the bits after each of two more, and the allocations of the
// first of these.
struct Unbroken {
  Bits first, second;
  int64_t allocations = 0;
};

Unbroken Watch(const Experiment& experiment, int before) {
  SoloCommunicator solo;
  Unbroken unbroken;
  for (int pass = 0; pass < 2; ++pass) {  // the first also makes what a process makes once
    Trainer trainer(experiment, solo);
    int64_t step = 0;
    for (; step < before; ++step) EXPECT_EQ(trainer.Step(step), absl::OkStatus());
    Source().Arm({});
    EXPECT_EQ(trainer.Step(step), absl::OkStatus());
    unbroken.allocations = Source().Disarm();
    unbroken.first = trainer.Take();
    EXPECT_EQ(trainer.Step(step + 1), absl::OkStatus());
    unbroken.second = trainer.Take();
  }
  return unbroken;
}

void ExpectShortage(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()),
              AnyOf(HasSubstr("forward "), HasSubstr("backward "), HasSubstr("reduce "), HasSubstr("gradients of "),
                    HasSubstr("optimizer state of "), HasSubstr("keeping the modules' buffers")))
      << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("out of memory")) << status;
}

// "backward layer.0.attn" of "rank 0: backward layer.0.attn: ...".
std::string Place(const absl::Status& status) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(status.message()), ": ");
  return parts[0] == "rank 0" && parts.size() > 1 ? parts[1] : parts[0];
}

struct Sweep {
  int before = 0;      // steps made before the one that is refused memory
  int64_t stride = 1;  // between the allocations that are refused
  bool all_from = false;
};

// The places where steps failed.
std::set<std::string> SweepSolo(const Experiment& experiment, const Sweep& sweep) {
  const Unbroken unbroken = Watch(experiment, sweep.before);
  EXPECT_GT(unbroken.allocations, 50);
  SoloCommunicator solo;
  std::set<std::string> places;
  int64_t survived = 0;
  for (int64_t n = 1; n <= unbroken.allocations && !testing::Test::HasFailure(); n += sweep.stride) {
    SCOPED_TRACE(absl::StrCat("allocation ", n, " of ", unbroken.allocations));
    Trainer trainer(experiment, solo);
    const int64_t fresh = TestBooks().total_live();
    int64_t step = 0;
    for (; step < sweep.before; ++step) EXPECT_EQ(trainer.Step(step), absl::OkStatus());
    const Bits before = trainer.Take();
    const int64_t live = TestBooks().total_live();

    Source().Arm({n, sweep.all_from});
    const absl::Status status = trainer.Step(step);
    Source().Disarm();
    EXPECT_GE(Source().refused(), 1);
    if (status.ok()) {
      ++survived;  // in the update, which cannot be undone: it does without
      EXPECT_EQ(trainer.Take(), unbroken.first);
    } else {
      ExpectShortage(status);
      places.insert(Place(status));
      EXPECT_EQ(trainer.Take(), before);
      EXPECT_FALSE(trainer.holds_gradients());
      if (sweep.before == 0) {
        EXPECT_EQ(TestBooks().total_live(), fresh) << "a leak";
      } else {
        EXPECT_LE(TestBooks().total_live(), live) << "a leak";  // less: bf16 copies go, and are made again when wanted
      }
      // Another thread would wait for whatever this one left locked.
      if (n % 16 == 0) {
        std::thread([&] { EXPECT_EQ(trainer.Step(step), absl::OkStatus()); }).join();
      } else {
        EXPECT_EQ(trainer.Step(step), absl::OkStatus());
      }
      EXPECT_EQ(trainer.Take(), unbroken.first);
    }
    if (n % 8 == 0 || status.ok()) {
      EXPECT_EQ(trainer.Step(step + 1), absl::OkStatus());
      EXPECT_EQ(trainer.Take(), unbroken.second);
    }
  }
  if (sweep.stride == 1) {
    EXPECT_EQ(survived, Trainer(experiment, solo).copied());
  }
  return places;
}

class AllocationFailureTest : public testing::TestWithParam<std::string> {
 protected:
  AllocationFailureTest() { experiment_.precision = GetParam(); }
  Experiment experiment_;
};

TEST_P(AllocationFailureTest, AtEveryAllocationOfTheFirstStepGivesATypedErrorAndChangesNothing) {
  const std::set<std::string> places = SweepSolo(experiment_, {});
  const Model model = *MakeTinyGpt2();
  for (const SegmentSpec& segment : model.segments) {
    EXPECT_EQ(places.count("forward " + segment.name), 1u) << segment.name;
    EXPECT_EQ(places.count("backward " + segment.name), 1u) << segment.name;
  }
  EXPECT_EQ(places.count("optimizer state of embedding"), 1u);
}

TEST_P(AllocationFailureTest, OfALaterStepKeepsMoments) { SweepSolo(experiment_, {/*before=*/1, /*stride=*/5}); }

TEST_P(AllocationFailureTest, WhereNoneIsServedAnyMoreEndsTheSame) {
  SweepSolo(experiment_, {/*before=*/1, /*stride=*/9, /*all_from=*/true});
}

TEST_P(AllocationFailureTest, WithGradientBuffersThatStayForTheNextStepEndsTheSame) {
  experiment_.release_gradients = false;
  SweepSolo(experiment_, {/*before=*/1, /*stride=*/9});
}

TEST_P(AllocationFailureTest, TakesBackWhatForwardDidToTheModulesBuffers) {
  experiment_.make = MakeBatchNormNet;
  experiment_.batch = Points;
  SweepSolo(experiment_, {/*before=*/1, /*stride=*/1});
}

TEST_P(AllocationFailureTest, InEvaluationGivesATypedErrorAndTheSameLossAfterwards) {
  SoloCommunicator solo;
  Trainer trainer(experiment_, solo);
  const absl::StatusOr<AgreementVerdict> unbroken = trainer.Evaluate();
  ASSERT_TRUE(unbroken.ok()) << unbroken.status();
  Source().Arm({});
  EXPECT_EQ(trainer.Evaluate()->loss_sum, unbroken->loss_sum);
  const int64_t allocations = Source().Disarm();
  const int64_t live = TestBooks().total_live();
  const Bits bits = trainer.Take();
  for (int64_t n = 1; n <= allocations && !HasFailure(); ++n) {
    SCOPED_TRACE(absl::StrCat("allocation ", n, " of ", allocations));
    Source().Arm({n});
    const absl::Status status = trainer.Evaluate().status();
    Source().Disarm();
    ExpectShortage(status);
    EXPECT_LE(TestBooks().total_live(), live);
    EXPECT_EQ(trainer.Evaluate()->loss_sum, unbroken->loss_sum);
    EXPECT_EQ(TestBooks().total_live(), live);
    EXPECT_EQ(trainer.Take(), bits);
  }
}

// Both ranks make the step on threads of their own.
void StepTogether(Trainer (&ranks)[2], int64_t step, absl::Status (&statuses)[2]) {
  std::thread other([&] { statuses[1] = ranks[1].Step(step); });
  statuses[0] = ranks[0].Step(step);
  other.join();
}

// Ranks of a world meet the shortage of one of them at `agree`, and none of them has updated. They can make the step
// again, cut in another way, as if it were the first time.
TEST_P(AllocationFailureTest, OnOneRankOfTwoIsTheErrorOfBothAndUpdatesNeither) {
  const int64_t live = TestBooks().total_live();
  constexpr int64_t kSmaller = 2;
  Bits smaller;
  {
    const auto communicators = InProcessGroup::Create(2);
    Trainer ranks[] = {{experiment_, *communicators[0]}, {experiment_, *communicators[1]}};
    absl::Status statuses[2];
    for (Trainer& rank : ranks) rank.Cut(kSmaller);
    StepTogether(ranks, 0, statuses);
    ASSERT_EQ(statuses[0], absl::OkStatus());
    smaller = ranks[0].Take();
  }
  int64_t allocations = 1;
  for (int64_t n = 0; n <= allocations && !HasFailure(); ++n) {  // 0 counts them
    SCOPED_TRACE(absl::StrCat("allocation ", n, " of ", allocations));
    const auto communicators = InProcessGroup::Create(2);
    Trainer ranks[] = {{experiment_, *communicators[0]}, {experiment_, *communicators[1]}};
    const Bits before = ranks[0].Take();
    absl::Status statuses[2];
    std::thread threads[2];
    for (int rank = 0; rank < 2; ++rank) {
      threads[rank] = std::thread([&, rank] {
        if (rank == 1) {
          FailingSource::Plan plan;
          plan.nth = n;
          plan.on_this_thread = true;
          Source().Arm(plan);
        }
        statuses[rank] = ranks[rank].Step(0);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const int64_t counted = Source().Disarm();
    if (n == 0) allocations = counted - ranks[1].copied();  // those of the update are done without
    for (int rank = 0; rank < 2; ++rank) {
      if (n == 0) {
        EXPECT_EQ(statuses[rank], absl::OkStatus());
        EXPECT_NE(ranks[rank].Take(), before);
        continue;
      }
      ExpectShortage(statuses[rank]);
      EXPECT_EQ(statuses[rank], statuses[0]);
      EXPECT_THAT(std::string(statuses[rank].message()), HasSubstr("rank 1: "));
      EXPECT_EQ(ranks[rank].Take(), before);
      EXPECT_FALSE(ranks[rank].holds_gradients());
    }
    if (n == 0) continue;
    for (Trainer& rank : ranks) rank.Cut(kSmaller);
    StepTogether(ranks, 0, statuses);
    for (int rank = 0; rank < 2; ++rank) {
      EXPECT_EQ(statuses[rank], absl::OkStatus());
      EXPECT_EQ(ranks[rank].Take(), smaller);
    }
  }
  EXPECT_GT(allocations, 50);
  EXPECT_EQ(TestBooks().total_live(), live);
}

INSTANTIATE_TEST_SUITE_P(Precisions, AllocationFailureTest, testing::Values("fp32", "bf16"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace stowage
