#include "trainer/state/group_state.h"

#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/dry.h"
#include "memory/counting_allocator.h"
#include "memory/test_books.h"
#include "sharding/in_process_group.h"

namespace stowage {
namespace {

GroupSpec Spec() {
  GroupSpec spec;
  spec.name = "layer.0";
  spec.parameters = {{"norm.weight", {24}, Init::Ones(), /*keep_fp32=*/true},
                     {"up.weight", {40, 24}, Init::Normal(0.02)},
                     {"up.bias", {40}, Init::Uniform(0.1)},
                     {"down.weight", {24, 40}, Init::Normal(0.02)}};
  return spec;
}

// Weights and biases in bf16, except the last, which only a segment in fp32 uses.
const std::vector<bool> kInBf16 = {false, true, true, false};

// Every copy is its master, rounded to nearest.
void ExpectCopiesFollow(GroupState& group) {
  for (int i = 0; i < group.layout().parameters(); ++i) {
    if (!kInBf16[i]) continue;
    const at::Tensor copy = group.parameter(i, at::kBFloat16, false).value;
    ASSERT_EQ(copy.scalar_type(), at::kBFloat16);
    ASSERT_EQ(copy.sizes(), at::IntArrayRef(group.spec().parameters[i].shape));
    const uint16_t* bits = static_cast<const uint16_t*>(copy.const_data_ptr());
    const float* master = group.parameters_data() + group.layout().offset(i);
    for (int64_t k = 0; k < copy.numel(); ++k) ASSERT_EQ(bits[k], kernels::Fp32ToBf16(master[k])) << i << " " << k;
  }
}

TEST(GroupStateTest, CopiesInBf16AreTheMastersRoundedAfterEveryWayOfWritingThem) {
  for (const char* kind : {"adamw", "sgd"}) {
    GroupState group(Spec(), /*world_size=*/3, kInBf16);
    group.Initialize(1);
    ExpectCopiesFollow(group);
    OptimizerConfig config;
    config.kind = kind;
    const auto optimizer = MakeOptimizer(config);
    ASSERT_TRUE(optimizer.ok());
    group.EnsureOptimizerState(**optimizer);
    for (int step = 1; step <= 3; ++step) {
      group.BeginGradients(GroupState::Take::kNow);
      for (int64_t k = 0; k < group.layout().whole_numel(); ++k) {
        group.gradients_data()[k] = 0.01f * static_cast<float>(k % 17 - 8);
      }
      UpdateScalars scalars;
      scalars.lr = 0.1;
      scalars.step = step;
      const float before = group.parameters_data()[group.layout().offset(1)];
      group.Update(**optimizer, scalars);
      EXPECT_NE(group.parameters_data()[group.layout().offset(1)], before);
      ExpectCopiesFollow(group);
    }
    group.parameters_data()[group.layout().offset(2)] = 1.2345678f;  // a restore
    group.ParametersWritten();
    ExpectCopiesFollow(group);
  }
}

TEST(GroupStateTest, CopiesThatWereReleasedAreMadeAnewByWhoeverWantsThemFirst) {
  GroupState group(Spec(), /*world_size=*/2, kInBf16);
  group.Initialize(1);
  const auto optimizer = MakeOptimizer(OptimizerConfig());
  ASSERT_TRUE(optimizer.ok());
  group.EnsureOptimizerState(**optimizer);
  for (const bool taken_before : {true, false}) {
    group.Release();
    if (taken_before) group.TakeCopies();
    group.BeginGradients(GroupState::Take::kNow);
    group.FinishGradients();
    UpdateScalars scalars;
    scalars.lr = 0.1;
    scalars.step = 1;
    group.Update(**optimizer, scalars);
    ExpectCopiesFollow(group);
  }
}

TEST(GroupStateTest, GradientsTakeTheirBytesWhenTheFirstContributionComesIfToldSo) {
  GroupState group(Spec(), /*world_size=*/1);
  group.Initialize(1);
  for (int step = 0; step < 2; ++step) {
    group.BeginGradients(GroupState::Take::kWhenWritten);
    EXPECT_FALSE(group.has_gradients());
    group.parameter(2, at::kFloat, true).gradient->Add(at::full({40}, 2.5f));
    ASSERT_TRUE(group.has_gradients());
    group.parameter(2, at::kFloat, true).gradient->Add(at::full({40}, 0.5f));
    group.FinishGradients();
    for (int i = 0; i < group.layout().parameters(); ++i) {
      const float* gradient = group.gradients_data() + group.layout().offset(i);
      for (int64_t k = 0; k < group.layout().numel(i); ++k) ASSERT_EQ(gradient[k], i == 2 ? 3.0f : 0.0f) << i;
    }
    group.ReleaseGradients();
    EXPECT_FALSE(group.has_gradients());
  }
  group.BeginGradients(GroupState::Take::kWhenWritten);
  group.FinishGradients();  // nothing came at all
  ASSERT_TRUE(group.has_gradients());
  for (int64_t k = 0; k < group.layout().whole_numel(); ++k) ASSERT_EQ(group.gradients_data()[k], 0.0f);
}

TEST(GroupStateTest, AParameterComesInTheSegmentsDtypeUnlessItIsToStayInFp32) {
  GroupState group(Spec(), 1, kInBf16);
  group.Initialize(1);
  EXPECT_EQ(group.parameter(0, at::kBFloat16, false).value.scalar_type(), at::kFloat);
  EXPECT_EQ(group.parameter(1, at::kBFloat16, false).value.scalar_type(), at::kBFloat16);
  EXPECT_EQ(group.parameter(1, at::kFloat, false).value.scalar_type(), at::kFloat);
  EXPECT_EQ(group.parameter(1, at::kFloat, false).value.const_data_ptr<float>(),
            group.parameters_data() + group.layout().offset(1));
  // One slot, whatever the dtype: a tied matrix is summed up in one place.
  EXPECT_EQ(group.parameter(1, at::kFloat, true).gradient, group.parameter(1, at::kBFloat16, true).gradient);
  EXPECT_TRUE(group.parameter(1, at::kBFloat16, true).value.requires_grad());
}

TEST(GroupStateTest, EveryCopyStartsAtACacheLine) {
  GroupState group(Spec(), 1, kInBf16);
  group.Initialize(1);
  for (int i : {1, 2}) {
    const auto address = reinterpret_cast<uintptr_t>(group.parameter(i, at::kBFloat16, false).value.const_data_ptr());
    EXPECT_EQ(address % 64, 0u) << i;
  }
}

TEST(GroupStateTest, WorkingWeightsInBf16TakeHalfTheBytesAndTheMastersAreCountedApart) {
  Ledger* const ledger = &TestBooks();
  GroupSpec spec;
  spec.name = "layer.0";
  spec.parameters = {{"up.weight", {4096, 1024}, Init::Zeros()}};
  const auto bytes = [&](Category category) { return ledger->live(category); };
  const int64_t before = bytes(Category::kParameters), optimizer_before = bytes(Category::kOptimizer);
  int64_t fp32 = 0;
  {
    GroupState group(spec, 1);
    fp32 = bytes(Category::kParameters) - before;
    EXPECT_EQ(fp32, 4096 * 1024 * 4);
    EXPECT_EQ(bytes(Category::kOptimizer), optimizer_before);
  }
  GroupState group(spec, 1, {true});
  group.Initialize(1);
  group.parameter(0, at::kBFloat16, false);
  EXPECT_EQ(bytes(Category::kParameters) - before, fp32 / 2);
  EXPECT_EQ(bytes(Category::kOptimizer) - optimizer_before, fp32);
  group.Release();
  EXPECT_EQ(bytes(Category::kParameters), before);

  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(OptimizerConfig());
  group.EnsureOptimizerState(*optimizer);
  group.BeginGradients(GroupState::Take::kNow);
  EXPECT_THAT(LargestHolderLines(4),
              testing::UnorderedElementsAre("16 MiB optimizer: layer.0 master weights [4194304] F32",
                                            "16 MiB optimizer: layer.0 exp_avg [4194304] F32",
                                            "16 MiB optimizer: layer.0 exp_avg_sq [4194304] F32",
                                            "16 MiB gradients: layer.0 gradients [4194304] F32"));
}

using GroupStateDeathTest = testing::Test;

TEST(GroupStateTest, ADryRunWritesNoParameter) {
  OptimizerConfig config;
  config.kind = "adamw";
  const auto optimizer = MakeOptimizer(config);
  ASSERT_TRUE(optimizer.ok());
  for (const bool given : {false, true}) {
    GroupSpec spec = Spec();
    if (given) {
      spec.initial_values = [shapes = spec.parameters](uint64_t) {
        std::vector<at::Tensor> values;
        for (const ParameterSpec& p : shapes) values.push_back(at::full(p.shape, 3.0f, at::kFloat));
        return values;
      };
    }
    GroupState group(spec, /*world_size=*/3, kInBf16);
    float* const begin = group.parameters_data();
    std::fill_n(begin, group.layout().whole_numel(), 7.0f);
    {
      const kernels::DryScope dry;
      group.Initialize(1);
      group.EnsureOptimizerState(**optimizer);
      group.BeginGradients(GroupState::Take::kNow);
      EXPECT_TRUE(group.parameter(1, at::kBFloat16, /*with_gradient=*/true).value.defined());
      group.Update(**optimizer, UpdateScalars());
    }
    EXPECT_EQ(std::count(begin, begin + group.layout().whole_numel(), 7.0f), group.layout().whole_numel()) << given;
  }
}

// What ranks own together, and what each of them reads after a gather, is what one rank alone would have.
TEST(GroupStateTest, ShardsAndWhatIsGatheredFromThemAreThePartsOfTheWhole) {
  constexpr int kRanks = 3;
  const std::vector<bool> in_fp32 = {true, false, true, true};  // the third is read in both
  GroupState alone(Spec(), kRanks, kInBf16);
  alone.Initialize(1);
  for (int stage = 1; stage <= 3; ++stage) {
    GroupSpec spec = Spec();
    spec.zero_stage = stage;
    const auto communicators = InProcessGroup::Create(kRanks);
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < kRanks; ++rank) {
      ranks.emplace_back([&, rank] {
        GroupState group(spec, kRanks, kInBf16, rank, in_fp32);
        group.Initialize(1);
        EXPECT_TRUE(std::equal(group.masters(), group.masters() + group.owned_numel(),
                               alone.parameters_data() + group.owned_begin()));
        const at::Tensor before = group.parameter(1, at::kBFloat16, false).value;
        for (int time = 0; time < 2; ++time) {
          group.TakeGathered();
          for (const Event& event : group.Gather(*communicators[rank])) EXPECT_TRUE(event.Wait().ok());
          for (int i = 0; i < group.layout().parameters(); ++i) {
            const float* const value = alone.parameters_data() + group.layout().offset(i);
            if (in_fp32[i]) {
              const float* const fp32 = group.parameter(i, at::kFloat, false).value.const_data_ptr<float>();
              EXPECT_TRUE(std::equal(fp32, fp32 + group.layout().numel(i), value)) << stage << " " << i;
            }
            if (!kInBf16[i]) continue;
            const auto* bits =
                static_cast<const uint16_t*>(group.parameter(i, at::kBFloat16, false).value.const_data_ptr());
            for (int64_t k = 0; k < group.layout().numel(i); ++k) {
              ASSERT_EQ(bits[k], kernels::Fp32ToBf16(value[k])) << stage << " " << i << " " << k;
            }
          }
          group.Release();
        }
        EXPECT_TRUE(before.is_same(group.parameter(1, at::kBFloat16, false).value)) << "autograd knows one tensor";
      });
    }
    for (std::thread& rank : ranks) rank.join();
  }
}

TEST(GroupStateDeathTest, ACopyThatWasNeverWrittenOrAskedForIsNotHandedOut) {
  GroupState group(Spec(), 1, kInBf16);
  EXPECT_DEATH(group.parameter(1, at::kBFloat16, false), "up.weight");
  group.Initialize(1);
  EXPECT_DEATH(group.parameter(3, at::kBFloat16, false), "down.weight");
}

}  // namespace
}  // namespace stowage
