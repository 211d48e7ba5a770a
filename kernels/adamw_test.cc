#include "kernels/adamw.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cast.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

struct State {
  State(int64_t numel, uint64_t seed)
      : parameter(TestValues(numel, seed)),
        first_moment(TestValues(numel, seed + 1)),
        second_moment(TestValues(numel, seed + 2)) {
    for (float& v : first_moment) v *= 0.01f;
    for (float& v : second_moment) v = v * v * 1e-4f;
  }
  std::vector<float> parameter, first_moment, second_moment;
};

AdamWOptions Options() {
  AdamWOptions options;
  options.lr = 3e-4;
  options.weight_decay = 0.1;
  options.step = 7;
  options.gradient_scale = 1.0 / 3;
  return options;
}

void RunAdamW(State& state, const std::vector<float>& gradient, const AdamWOptions& options) {
  AdamW(state.parameter.data(), gradient.data(), state.first_moment.data(), state.second_moment.data(),
        static_cast<int64_t>(gradient.size()), options);
}

// The formulas of adamw.h, element by element. The test is compiled without contraction, so bits must agree.
void PlainAdamW(State& state, const std::vector<float>& gradient, const AdamWOptions& o) {
  const double bias1 = 1.0 - std::pow(o.beta1, o.step);
  const float bias2_sqrt = std::sqrt(1.0 - std::pow(o.beta2, o.step));
  const float scale = o.gradient_scale, decay = 1.0 - o.lr * o.weight_decay, beta1 = o.beta1, beta2 = o.beta2;
  const float weight1 = 1.0 - o.beta1, weight2 = 1.0 - o.beta2, eps = o.eps, minus_step_size = -o.lr / bias1;
  for (size_t i = 0; i < gradient.size(); ++i) {
    const float g = gradient[i] * scale;
    float& m = state.first_moment[i];
    float& v = state.second_moment[i];
    float& p = state.parameter[i];
    m = 1.0 - o.beta1 < 0.5 ? m + weight1 * (g - m) : g - (g - m) * beta1;
    v = v * beta2 + weight2 * g * g;
    p = p * decay + minus_step_size * m / (std::sqrt(v) / bias2_sqrt + eps);
  }
}

TEST(AdamWTest, TheCopyInBf16IsTheNewParameterRoundedAndChangesNothingElse) {
  for (double beta1 : {0.9, 0.3}) {
    AdamWOptions options = Options();
    options.beta1 = beta1;
    for (int64_t numel : TestSizes()) {
      std::vector<float> gradient = TestValues(numel, 9);
      if (numel > 0) gradient[numel - 1] = std::numeric_limits<float>::quiet_NaN();  // NaN stays one
      State expected(numel, 1);
      RunAdamW(expected, gradient, options);
      std::vector<uint16_t> rounded(numel);
      CastFp32ToBf16(expected.parameter.data(), rounded.data(), numel);
      ForEachWidthAndThreadCount([&](const std::string& how) {
        State state(numel, 1);
        std::vector<uint16_t> copy(numel + 2, 42);  // at an odd address, and with something behind
        AdamW(state.parameter.data(), gradient.data(), state.first_moment.data(), state.second_moment.data(), numel,
              options, copy.data() + 1);
        EXPECT_TRUE(SameBits(copy.data() + 1, rounded.data(), numel)) << how;
        EXPECT_EQ(copy.front(), 42);
        EXPECT_EQ(copy.back(), 42);
        EXPECT_TRUE(SameBits(state.parameter.data(), expected.parameter.data(), numel)) << how;
        EXPECT_TRUE(SameBits(state.first_moment.data(), expected.first_moment.data(), numel)) << how;
        EXPECT_TRUE(SameBits(state.second_moment.data(), expected.second_moment.data(), numel)) << how;
      });
    }
  }
}

TEST(AdamWTest, HasTheBitsOfThePlainLoopAtEveryWidthAndThreadCount) {
  for (double beta1 : {0.9, 0.3}) {
    AdamWOptions options = Options();
    options.beta1 = beta1;
    for (int64_t numel : TestSizes()) {
      const std::vector<float> gradient = TestValues(numel, 9);
      State expected(numel, 1);
      PlainAdamW(expected, gradient, options);
      ForEachWidthAndThreadCount([&](const std::string& how) {
        State state(numel, 1);
        RunAdamW(state, gradient, options);
        EXPECT_TRUE(SameBits(state.parameter.data(), expected.parameter.data(), numel)) << how;
        EXPECT_TRUE(SameBits(state.first_moment.data(), expected.first_moment.data(), numel)) << how;
        EXPECT_TRUE(SameBits(state.second_moment.data(), expected.second_moment.data(), numel)) << how;
      });
    }
  }
}

TEST(AdamWTest, ElementHasTheSameBitsWhereverItLies) {
  constexpr int64_t kNumel = 40000;
  const std::vector<float> gradient = TestValues(kNumel, 9);
  State whole(kNumel, 1);
  RunAdamW(whole, gradient, Options());
  for (int64_t offset = 0; offset <= 17; ++offset) {
    for (int64_t numel : {int64_t{1}, int64_t{5}, int64_t{16}, int64_t{33}, kNumel - 17}) {
      State part(kNumel, 1);
      AdamW(part.parameter.data() + offset, gradient.data() + offset, part.first_moment.data() + offset,
            part.second_moment.data() + offset, numel, Options());
      ASSERT_TRUE(SameBits(part.parameter.data() + offset, whole.parameter.data() + offset, numel)) << offset;
      ASSERT_TRUE(SameBits(part.first_moment.data() + offset, whole.first_moment.data() + offset, numel)) << offset;
      ASSERT_TRUE(SameBits(part.second_moment.data() + offset, whole.second_moment.data() + offset, numel)) << offset;
      // What lies around the part is as it was.
      const State untouched(kNumel, 1);
      ASSERT_TRUE(SameBits(part.parameter.data(), untouched.parameter.data(), offset));
      const int64_t end = offset + numel;
      ASSERT_TRUE(SameBits(part.parameter.data() + end, untouched.parameter.data() + end, kNumel - end));
    }
  }
}

at::Tensor Wrap(const std::vector<float>& values, at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
  std::memcpy(tensor.data_ptr(), values.data(), values.size() * sizeof(float));
  return tensor.to(type);
}

// torch.optim.AdamW's single-tensor form, operator by operator.
struct AtenAdamW {
  AtenAdamW(const State& state, at::ScalarType type)
      : p(Wrap(state.parameter, type)), m(Wrap(state.first_moment, type)), v(Wrap(state.second_moment, type)) {}

  void Step(const at::Tensor& gradient, const AdamWOptions& o) {
    const at::Tensor g = gradient.mul(o.gradient_scale);
    p.mul_(1.0 - o.lr * o.weight_decay);
    m.lerp_(g, 1.0 - o.beta1);
    v.mul_(o.beta2).addcmul_(g, g, 1.0 - o.beta2);
    const double bias1 = 1.0 - std::pow(o.beta1, o.step);
    const double bias2_sqrt = std::sqrt(1.0 - std::pow(o.beta2, o.step));
    p.addcdiv_(m, v.sqrt().div_(bias2_sqrt).add_(o.eps), -o.lr / bias1);
  }

  at::Tensor p, m, v;
};

double MaxDifference(const std::vector<float>& ours, const at::Tensor& theirs) {
  return Wrap(ours, at::kDouble).sub_(theirs.to(at::kDouble)).abs().max().item<double>();
}

// Ten steps. A parameter is at most 1, so a rounding is at most 6e-8; each step rounds the decay, the sum, and an
// update of some 3e-4 (far less), so ten stay below 10 * 2 * 6e-8 = 1.2e-6 at worst, and below 1e-6 in a sum of random
// roundings. The moments are smaller and their roundings relative to that.
TEST(AdamWTest, AgreesWithAtensOperatorsInFp32AndFp64) {
  constexpr int64_t kNumel = 100003;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    State ours(kNumel, 1);
    AtenAdamW theirs(ours, type);
    AdamWOptions options = Options();
    for (int step = 1; step <= 10; ++step) {
      options.step = step;
      const std::vector<float> gradient = TestValues(kNumel, 100 + step);
      RunAdamW(ours, gradient, options);
      theirs.Step(Wrap(gradient, type), options);
    }
    EXPECT_LE(MaxDifference(ours.parameter, theirs.p), 1e-6);
    EXPECT_LE(MaxDifference(ours.first_moment, theirs.m), 1e-7);
    EXPECT_LE(MaxDifference(ours.second_moment, theirs.v), 1e-8);
    EXPECT_GT(MaxDifference(State(kNumel, 1).parameter, theirs.p), 1e-3) << "nothing was learned: a test of nothing";
  }
}

TEST(AdamWTest, PaddingOfZerosStaysZero) {
  State state(19, 1);
  state.parameter.assign(19, 0.0f);
  state.first_moment.assign(19, 0.0f);
  state.second_moment.assign(19, 0.0f);
  RunAdamW(state, std::vector<float>(19, 0.0f), Options());
  for (float p : state.parameter) EXPECT_EQ(p, 0.0f);
  for (float v : state.second_moment) EXPECT_EQ(v, 0.0f);
}

SgdOptions PlainSgdOptions(double momentum, int64_t step) {
  SgdOptions options;
  options.lr = 0.05;
  options.momentum = momentum;
  options.weight_decay = 0.01;
  options.step = step;
  options.gradient_scale = 0.25;
  return options;
}

TEST(SgdTest, HasTheBitsOfThePlainLoopAtEveryWidthAndThreadCount) {
  for (int64_t numel : TestSizes()) {
    for (int64_t step : {1, 2}) {
      const SgdOptions options = PlainSgdOptions(0.9, step);
      const std::vector<float> gradient = TestValues(numel, 9);
      std::vector<float> parameter = TestValues(numel, 1);
      std::vector<float> momentum = TestValues(numel, 2);
      const float scale = options.gradient_scale, decay = options.weight_decay, mu = options.momentum;
      const float minus_lr = -options.lr;
      for (int64_t i = 0; i < numel; ++i) {
        const float g = gradient[i] * scale + decay * parameter[i];
        momentum[i] = step == 1 ? g : momentum[i] * mu + g;
        parameter[i] = parameter[i] + minus_lr * momentum[i];
      }
      ForEachWidthAndThreadCount([&](const std::string& how) {
        std::vector<float> p = TestValues(numel, 1);
        std::vector<float> b = TestValues(numel, 2);
        Sgd(p.data(), gradient.data(), b.data(), numel, options);
        EXPECT_TRUE(SameBits(p.data(), parameter.data(), numel)) << how;
        EXPECT_TRUE(SameBits(b.data(), momentum.data(), numel)) << how;
      });
    }
  }
}

TEST(SgdTest, ElementHasTheSameBitsWhereverItLies) {
  constexpr int64_t kNumel = 40000;
  const SgdOptions options = PlainSgdOptions(0.9, 3);
  const std::vector<float> gradient = TestValues(kNumel, 9);
  std::vector<float> whole = TestValues(kNumel, 1);
  std::vector<float> whole_momentum = TestValues(kNumel, 2);
  Sgd(whole.data(), gradient.data(), whole_momentum.data(), kNumel, options);
  for (int64_t offset = 0; offset <= 17; ++offset) {
    for (int64_t numel : {int64_t{1}, int64_t{15}, int64_t{33}, kNumel - 17}) {
      std::vector<float> p = TestValues(kNumel, 1);
      std::vector<float> b = TestValues(kNumel, 2);
      Sgd(p.data() + offset, gradient.data() + offset, b.data() + offset, numel, options);
      ASSERT_TRUE(SameBits(p.data() + offset, whole.data() + offset, numel)) << offset;
      ASSERT_TRUE(SameBits(b.data() + offset, whole_momentum.data() + offset, numel)) << offset;
    }
  }
}

TEST(SgdTest, FirstStepDoesNotReadTheMomentumBuffer) {
  const std::vector<float> gradient = TestValues(21, 9);
  std::vector<float> p = TestValues(21, 1);
  std::vector<float> b(21, std::numeric_limits<float>::quiet_NaN());
  Sgd(p.data(), gradient.data(), b.data(), 21, PlainSgdOptions(0.9, 1));
  for (int i = 0; i < 21; ++i) {
    EXPECT_TRUE(std::isfinite(p[i]));
    EXPECT_TRUE(std::isfinite(b[i]));
  }
}

TEST(SgdTest, WithoutMomentumNoBufferIsNeeded) {
  const std::vector<float> gradient = TestValues(1003, 9);
  std::vector<float> without = TestValues(1003, 1);
  std::vector<float> with = without;
  std::vector<float> b(1003, 5.0f);
  Sgd(without.data(), gradient.data(), nullptr, 1003, PlainSgdOptions(0.0, 4));
  Sgd(with.data(), gradient.data(), b.data(), 1003, PlainSgdOptions(0.0, 4));
  EXPECT_TRUE(SameBits(without.data(), with.data(), 1003));
}

// torch.optim.SGD's operators, five steps; the tolerance is as AdamW's, with updates up to 0.05 * 2.5 a step.
TEST(SgdTest, AgreesWithAtensOperatorsInFp32AndFp64) {
  constexpr int64_t kNumel = 10007;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    std::vector<float> p = TestValues(kNumel, 1);
    std::vector<float> b(kNumel, 0.0f);
    at::Tensor theirs = Wrap(p, type);
    at::Tensor buffer;
    for (int step = 1; step <= 5; ++step) {
      const std::vector<float> gradient = TestValues(kNumel, 100 + step);
      const SgdOptions options = PlainSgdOptions(0.9, step);
      Sgd(p.data(), gradient.data(), b.data(), kNumel, options);
      const at::Tensor g = Wrap(gradient, type).mul_(options.gradient_scale).add_(theirs, options.weight_decay);
      buffer = step == 1 ? g.clone() : buffer.mul_(options.momentum).add_(g);
      theirs.add_(buffer, -options.lr);
    }
    EXPECT_LE(MaxDifference(p, theirs), 1e-6);
    EXPECT_LE(MaxDifference(b, buffer), 1e-6);
  }
}

}  // namespace
}  // namespace stowage::kernels
