// Operators that compute in bf16 against ATen's in fp32 on the same numbers.
//
// Inputs, weights and incoming gradients are numbers that bf16 holds, so the fp32 reference starts from the same values
// and differs by how results are rounded. Tolerances:
//   kOneRounding   a result that is summed in fp32 and rounded to bf16 once: half a unit of its 8th bit, 2^-8 of it
//   kFp32          what is summed into an fp32 gradient: 1e-5 of the largest element, as in fp32 (ops_test.cc)
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/gemm.h"
#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/embedding.h"
#include "trainer/model/ops/language_head.h"
#include "trainer/model/ops/linear.h"

namespace stowage::ops {
namespace {

constexpr double kOneRounding = 0x1p-8;
constexpr double kFp32 = 1e-5;

// A bf16 leaf with an fp32 slot, and the same numbers in fp32 for the reference.
struct Twin {
  explicit Twin(const at::Tensor& value)
      : ours(value.to(at::kBFloat16).requires_grad_(true)),
        theirs(ours.detach().to(at::kFloat).requires_grad_(true)),
        buffer(at::full_like(theirs.detach(), 99.0)) {  // what was there before must not matter
    slot.Bind(buffer);
  }
  Parameter parameter() { return {ours, &slot}; }
  at::Tensor ours, theirs, buffer;
  GradientSlot slot;
};

at::Tensor InBf16(const at::Tensor& t) { return t.to(at::kBFloat16); }

// |a - b| <= relative * |b| + 1e-5 of the largest |b|: sums that nearly cancel have fp32's error and no smaller one.
void ExpectClose(const at::Tensor& a, const at::Tensor& b, double relative) {
  ASSERT_EQ(a.sizes(), b.sizes());
  const at::Tensor wanted = b.detach().to(at::kDouble), error = (a.detach().to(at::kDouble) - wanted).abs();
  const double floor = kFp32 * std::max(1e-12, wanted.abs().max().item<double>());
  EXPECT_LE((error - wanted.abs() * relative).max().item<double>(), floor);
}

void ExpectDtype(const at::Tensor& t, at::ScalarType dtype) { EXPECT_EQ(t.scalar_type(), dtype); }

at::Tensor GradOf(const at::Tensor& output, const at::Tensor& input, const at::Tensor& dy) {
  return torch::autograd::grad({output}, {input}, {dy}, true, false, true)[0];
}

TEST(LinearBf16Test, IsTheFp32ProductRoundedOnce) {
  for (int64_t in : {16, 33}) {
    Twin weight(at::randn({24, in})), x(at::randn({2, 5, in}));
    const at::Tensor dy = InBf16(at::randn({2, 5, 24}));
    const at::Tensor y = Linear(x.ours, weight.parameter(), nullptr), y_ref = at::linear(x.theirs, weight.theirs);
    ExpectDtype(y, at::kBFloat16);
    ExpectClose(y, y_ref, kOneRounding);
    const at::Tensor dx = GradOf(y, x.ours, dy);
    ExpectDtype(dx, at::kBFloat16);
    ExpectClose(dx, GradOf(y_ref, x.theirs, dy.to(at::kFloat)), kOneRounding);
    const at::Tensor dw = GradOf(y_ref, weight.theirs, dy.to(at::kFloat));
    ExpectClose(weight.buffer, dw, 0.0);
    GradOf(y, x.ours, dy);  // a second contribution is added in fp32
    ExpectClose(weight.buffer, dw * 2, 0.0);
  }
}

// With a bias there are two roundings: of the product, and of the sum, whose size may be below the product's.
TEST(LinearBf16Test, ABiasIsAddedAndItsGradientIsSummedInFp32) {
  Twin weight(at::randn({24, 16})), bias(at::randn({24})), x(at::randn({700, 16}));
  const at::Tensor dy = InBf16(at::randn({700, 24}));
  const Parameter b = bias.parameter();
  const at::Tensor y = Linear(x.ours, weight.parameter(), &b);
  const at::Tensor product = at::linear(x.theirs, weight.theirs),
                   y_ref = at::linear(x.theirs, weight.theirs, bias.theirs);
  const at::Tensor bound = (product.abs() + y_ref.abs()) * kOneRounding + 1e-5;
  EXPECT_TRUE(((y.to(at::kFloat) - y_ref).abs() <= bound).all().item<bool>());
  GradOf(y, x.ours, dy);
  const at::Tensor db = GradOf(y_ref, bias.theirs, dy.to(at::kFloat));
  ExpectClose(bias.buffer, db, 0.0);  // a sum of 700 in bf16 would be off by per cents
  GradOf(y, x.ours, dy);
  ExpectClose(bias.buffer, db * 2, 0.0);
}

TEST(EmbeddingBf16Test, RowsAreAddedAndRoundedOnceAndGradientsAreSummedInFp32) {
  Twin token(at::randn({11, 40})), position(at::randn({9, 40}));
  const at::Tensor tokens = at::randint(0, 5, {30, 7}, at::kLong);
  const at::Tensor dy = InBf16(at::randn({30, 7, 40}));
  const Parameter p = position.parameter();
  const at::Tensor y = Embedding(tokens, token.parameter(), &p, at::kBFloat16);
  const at::Tensor y_ref =
      at::embedding(token.theirs, tokens) + at::embedding(position.theirs, at::arange(7, at::kLong));
  ExpectDtype(y, at::kBFloat16);
  EXPECT_TRUE(y.detach().equal(InBf16(y_ref.detach())));  // one sum, one rounding: the same bits
  torch::autograd::grad({y}, {token.ours, position.ours}, {dy}, false, false, true);
  const auto ref = torch::autograd::grad({y_ref}, {token.theirs, position.theirs}, {dy.to(at::kFloat)});
  ExpectClose(token.buffer, ref[0], 0.0);
  ExpectClose(position.buffer, ref[1], 0.0);
}

TEST(EmbeddingBf16Test, Fp32ParametersGiveTheBitsOfTheirCopies) {
  Twin token(at::randn({11, 40})), position(at::randn({9, 40}));
  const at::Tensor token_master = at::randn({11, 40}).set_requires_grad(true), position_master = at::randn({9, 40});
  token.ours = InBf16(token_master.detach());
  position.ours = InBf16(position_master);
  const at::Tensor tokens = at::randint(0, 11, {3, 7}, at::kLong);
  const Parameter p = position.parameter(), p_master{position_master, &position.slot};
  const at::Tensor y = Embedding(tokens, {token_master, &token.slot}, &p_master, at::kBFloat16);
  ExpectDtype(y, at::kBFloat16);
  EXPECT_TRUE(y.detach().equal(Embedding(tokens, token.parameter(), &p, at::kBFloat16)));
  torch::autograd::grad({y}, {token_master}, {InBf16(at::ones({3, 7, 40}))}, false, false, true);
  EXPECT_TRUE(token.buffer.sum(1).equal(at::bincount(tokens.flatten(), {}, 11).to(at::kFloat) * 40));
}

// The loss is summed from fp32 logits: 1e-6. The gradient of the logits is rounded to bf16 (2^-8 of each element)
// before the two products, so an element of a product may be off by 2^-8 of the sum of its terms' sizes.
void CheckLanguageLoss(int64_t rows, int64_t vocabulary, int64_t width) {
  Twin weight(at::randn({vocabulary, width}) * 0.3), x(at::randn({1, rows, width}));
  at::Tensor targets = at::randint(0, vocabulary, {1, rows}, at::kLong);
  targets[0][1] = kIgnoredTarget;
  const at::Tensor loss = LanguageLoss(x.ours, weight.parameter(), targets);
  const at::Tensor logits = at::linear(x.theirs, weight.theirs).view({rows, vocabulary});
  const at::Tensor loss_ref = at::cross_entropy_loss(logits, targets.view({rows}), {}, /*sum*/ 2, kIgnoredTarget);
  EXPECT_NEAR(loss.item<double>() / loss_ref.item<double>(), 1.0, 1e-6);
  const at::Tensor one = at::ones_like(loss_ref), dlogits = GradOf(loss_ref, logits, one).abs();
  const at::Tensor dx = GradOf(loss, x.ours, at::ones_like(loss)).view({rows, width});
  ExpectDtype(dx, at::kBFloat16);
  const at::Tensor dx_ref = GradOf(loss_ref, x.theirs, one).view({rows, width});
  const at::Tensor dx_bound =
      at::mm(dlogits, weight.theirs.detach().abs()) * kOneRounding + dx_ref.abs() * kOneRounding;
  EXPECT_TRUE(((dx.to(at::kFloat) - dx_ref).abs() <= dx_bound + 1e-6).all().item<bool>());
  const at::Tensor dw_ref = GradOf(loss_ref, weight.theirs, one);
  const at::Tensor dw_bound = at::mm(dlogits.t(), x.theirs.detach().view({rows, width}).abs()) * kOneRounding;
  EXPECT_TRUE(((weight.buffer - dw_ref).abs() <= dw_bound + 1e-6).all().item<bool>());
  at::AutoGradMode evaluation(false);
  EXPECT_DOUBLE_EQ(LanguageLoss(x.ours, weight.parameter(), targets).item<double>(), loss.item<double>());
}

TEST(LanguageLossBf16Test, LogitsAreFp32AndOnlyTheirGradientIsRounded) {
  CheckLanguageLoss(37, 256, 16);
  CheckLanguageLoss(5, 257, 8);
  CheckLanguageLoss(3, 7, 8);
}

TEST(LanguageLossBf16Test, TheSameOverSeveralChunks) {
  const int64_t vocabulary = 50257;
  ASSERT_GT(400 * vocabulary * 4, kLogitChunkBytes);
  CheckLanguageLoss(400, vocabulary, 4);
}

TEST(LogitsTest, AreFp32InEitherDtype) {
  const at::Tensor x = InBf16(at::randn({2, 3, 16})), weight = InBf16(at::randn({20, 16}));
  const at::Tensor reference = at::linear(x.to(at::kFloat), weight.to(at::kFloat));
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor logits = Logits(x.to(dtype), weight.to(dtype));
    ExpectDtype(logits, at::kFloat);
    ExpectClose(logits, reference, 0.0);
  }
}

TEST(DropoutBf16Test, HasTheMaskOfFp32AndRoundsOnce) {
  const at::Tensor x = InBf16(at::randn({10001}));  // several pieces, the last one shorter
  const at::Tensor y = Dropout(x, 0.25, 7), y_ref = Dropout(x.to(at::kFloat), 0.25, 7);
  EXPECT_TRUE(y.equal(InBf16(y_ref)));
  at::Tensor leaf = x.clone().requires_grad_(true);
  const at::Tensor dx = GradOf(Dropout(leaf, 0.25, 7), leaf, at::ones_like(leaf));
  EXPECT_TRUE(dx.equal(InBf16(Dropout(at::ones({10001}), 0.25, 7))));
  EXPECT_GT(dx.eq(0).sum().item<int64_t>(), 2000);
}

TEST(ProductsTest, OperatorsMultiplyInTheirInputsDtype) {
  const auto counted = [](at::ScalarType dtype) {
    Twin weight(at::randn({24, 16}));
    at::Tensor value = weight.ours.detach().to(dtype).requires_grad_(true);
    const Parameter p{value, &weight.slot};
    at::Tensor x = at::randn({10, 16}).to(dtype).requires_grad_(true);
    const kernels::GemmFlops before = kernels::CountedGemmFlops();
    const at::Tensor loss = LanguageLoss(Linear(Linear(x, p, nullptr).narrow(1, 0, 16), p, nullptr).narrow(1, 0, 16), p,
                                         at::zeros({10}, at::kLong));
    GradOf(loss, x, at::ones_like(loss));
    const kernels::GemmFlops after = kernels::CountedGemmFlops();
    return kernels::GemmFlops{after.fp32 - before.fp32, after.bf16 - before.bf16};
  };
  const int64_t all = 3 * 3 * 2 * 10 * 24 * 16;
  EXPECT_EQ(counted(at::kFloat).fp32, all);
  EXPECT_EQ(counted(at::kFloat).bf16, 0);
  EXPECT_EQ(counted(at::kBFloat16).bf16, all);
  EXPECT_EQ(counted(at::kBFloat16).fp32, 0);
}

}  // namespace
}  // namespace stowage::ops
