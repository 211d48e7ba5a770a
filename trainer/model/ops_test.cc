// Each operator against the composition of ATen's own, outputs and gradients.
//
// Tolerance: 1e-5 of the largest element. Both sides sum the same few hundred fp32 products in other orders, which
// differ by some 1e-6; a wrong term is off by far more.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "trainer/model/ops/dropout.h"
#include "trainer/model/ops/embedding.h"
#include "trainer/model/ops/language_head.h"
#include "trainer/model/ops/linear.h"

namespace stowage::ops {
namespace {

// A parameter with its own slot, and a plain twin for the reference.
struct Twin {
  explicit Twin(const at::Tensor& value)
      : ours(value.clone().requires_grad_(true)),
        theirs(value.clone().requires_grad_(true)),
        buffer(at::zeros_like(value).fill_(99.0)) {  // what was there before must not matter
    slot.Bind(buffer);
  }
  Parameter parameter() { return {ours, &slot}; }
  at::Tensor ours, theirs, buffer;
  GradientSlot slot;
};

void ExpectClose(const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  const double scale = std::max(1e-12, b.abs().max().item<double>());
  EXPECT_LT((a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>() / scale, 1e-5);
}

at::Tensor GradOf(const at::Tensor& output, const at::Tensor& input, const at::Tensor& dy) {
  return torch::autograd::grad({output}, {input}, {dy}, true, false, true)[0];
}

TEST(LinearTest, MatchesAtenAndAddsUpOverCalls) {
  Twin weight(at::randn({24, 16})), bias(at::randn({24})), x(at::randn({2, 5, 16}));
  const at::Tensor dy = at::randn({2, 5, 24});
  const Parameter b = bias.parameter();
  const at::Tensor y = Linear(x.ours, weight.parameter(), &b);
  const at::Tensor y_ref = at::linear(x.theirs, weight.theirs, bias.theirs);
  ExpectClose(y, y_ref);
  ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy));
  const at::Tensor dw = GradOf(y_ref, weight.theirs, dy), db = GradOf(y_ref, bias.theirs, dy);
  ExpectClose(weight.buffer, dw);
  ExpectClose(bias.buffer, db);
  GradOf(y, x.ours, dy);  // a second contribution
  ExpectClose(weight.buffer, dw * 2);
  ExpectClose(bias.buffer, db * 2);
}

TEST(LinearTest, WorksWithoutABias) {
  Twin weight(at::randn({24, 16})), x(at::randn({5, 16}));
  const at::Tensor dy = at::randn({5, 24});
  const at::Tensor y = Linear(x.ours, weight.parameter(), nullptr), y_ref = at::linear(x.theirs, weight.theirs);
  ExpectClose(y, y_ref);
  ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy));
  ExpectClose(weight.buffer, GradOf(y_ref, weight.theirs, dy));
}

TEST(EmbeddingTest, MatchesAtenWithRepeatedTokens) {
  Twin token(at::randn({11, 40})), position(at::randn({9, 40}));
  const at::Tensor tokens = at::randint(0, 5, {3, 7}, at::kLong);
  const at::Tensor dy = at::randn({3, 7, 40});
  const Parameter p = position.parameter();
  const at::Tensor y = Embedding(tokens, token.parameter(), &p, at::kFloat);
  const at::Tensor y_ref =
      at::embedding(token.theirs, tokens) + at::embedding(position.theirs, at::arange(7, at::kLong));
  ExpectClose(y, y_ref);
  torch::autograd::grad({y}, {token.ours, position.ours}, {dy}, false, false, true);
  const auto ref = torch::autograd::grad({y_ref}, {token.theirs, position.theirs}, {dy});
  ExpectClose(token.buffer, ref[0]);
  ExpectClose(position.buffer, ref[1]);
}

TEST(EmbeddingTest, AddsToWhatTheTiedHeadHasWritten) {
  Twin token(at::randn({6, 8})), position(at::randn({4, 8}));
  token.slot.Add(at::ones_like(token.buffer));
  const at::Tensor tokens = at::zeros({1, 4}, at::kLong);
  const Parameter p = position.parameter();
  const at::Tensor y = Embedding(tokens, token.parameter(), &p, at::kFloat);
  torch::autograd::grad({y}, {token.ours, position.ours}, {at::ones_like(y)}, false, false, true);
  at::Tensor expected = at::ones_like(token.buffer);
  expected[0] += 4;
  ExpectClose(token.buffer, expected);
}

void CheckLanguageLoss(int64_t rows, int64_t vocabulary, int64_t width) {
  Twin weight(at::randn({vocabulary, width}) * 0.3), x(at::randn({1, rows, width}));
  at::Tensor targets = at::randint(0, vocabulary, {1, rows}, at::kLong);
  targets[0][1] = kIgnoredTarget;
  const at::Tensor loss = LanguageLoss(x.ours, weight.parameter(), targets);
  // In fp64: over 50,257 classes ATen's own fp32 sums are off by as much as the tolerance.
  const at::Tensor x_ref = x.theirs.detach().to(at::kDouble).requires_grad_(true);
  const at::Tensor weight_ref = weight.theirs.detach().to(at::kDouble).requires_grad_(true);
  const at::Tensor loss_ref = at::cross_entropy_loss(at::linear(x_ref, weight_ref).view({rows, vocabulary}),
                                                     targets.view({rows}), {}, /*reduction=sum*/ 2, kIgnoredTarget);
  EXPECT_NEAR(loss.item<double>() / loss_ref.item<double>(), 1.0, 1e-6);
  ExpectClose(GradOf(loss, x.ours, at::ones_like(loss)), GradOf(loss_ref, x_ref, at::ones_like(loss_ref)));
  ExpectClose(weight.buffer, GradOf(loss_ref, weight_ref, at::ones_like(loss_ref)));
  at::AutoGradMode evaluation(false);
  EXPECT_DOUBLE_EQ(LanguageLoss(x.ours, weight.parameter(), targets).item<double>(), loss.item<double>());
}

TEST(LanguageLossTest, AScaledLossScalesGradientsAndNotItself) {
  const at::Tensor matrix = at::randn({257, 8}) * 0.3, rows = at::randn({1, 5, 8});
  Twin weight(matrix), x(rows), scaled_weight(matrix), scaled_x(rows);
  const at::Tensor targets = at::randint(0, 257, {1, 5}, at::kLong);
  const at::Tensor loss = LanguageLoss(x.ours, weight.parameter(), targets);
  const at::Tensor scaled = LanguageLoss(scaled_x.ours, scaled_weight.parameter(), targets, /*loss_gradient=*/8.0);
  EXPECT_EQ(scaled.item<double>(), loss.item<double>());
  const at::Tensor dx = GradOf(loss, x.ours, at::ones_like(loss));
  EXPECT_TRUE(at::equal(GradOf(scaled, scaled_x.ours, at::full_like(scaled, 8.0)), dx * 8.0));
  EXPECT_TRUE(at::equal(scaled_weight.buffer, weight.buffer * 8.0));
  EXPECT_GT(weight.buffer.abs().sum().item<double>(), 0.0);
}

TEST(LanguageLossTest, MatchesAtenForVocabulariesThatAreNoMultipleOfAVector) {
  CheckLanguageLoss(37, 256, 16);
  CheckLanguageLoss(5, 257, 8);
  CheckLanguageLoss(3, 7, 8);
}

TEST(LanguageLossTest, MatchesAtenOverSeveralChunks) {
  const int64_t vocabulary = 50257;
  ASSERT_GT(500 * vocabulary * 4, kLogitChunkBytes);
  CheckLanguageLoss(500, vocabulary, 4);
}

TEST(DropoutTest, BackwardUsesTheMaskOfForward) {
  at::Tensor x = at::ones({1000}).requires_grad_(true);
  const at::Tensor y = Dropout(x, 0.25, 7);
  const at::Tensor dx = GradOf(y, x, at::ones_like(y));
  EXPECT_TRUE(y.equal(dx));
  const int64_t dropped = (y == 0).sum().item<int64_t>();
  EXPECT_GT(dropped, 150);
  EXPECT_LT(dropped, 350);
  EXPECT_FALSE(y.equal(Dropout(x, 0.25, 8)));
  EXPECT_TRUE(y.equal(Dropout(x, 0.25, 7)));
}

}  // namespace
}  // namespace stowage::ops
