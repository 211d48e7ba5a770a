// Norms, activations and rotary embedding against ATen's autograd, in fp32 and bf16, and what they keep for backward.
//
// Tolerance: 1e-5 of the largest element in fp32, where both sides sum the same terms in other orders. In bf16 the
// reference computes in fp32 from the same rounded numbers, so a result is off by its own rounding, 2^-8 of itself.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "memory/ledger.h"
#include "trainer/model/attention_peaks.h"  // the process has one ledger
#include "trainer/model/ops/activation.h"
#include "trainer/model/ops/linear.h"
#include "trainer/model/ops/norm.h"
#include "trainer/model/ops/rotary.h"

namespace stowage::ops {
namespace {

// A leaf of `dtype` with an fp32 slot, and the same numbers in fp32 for the reference.
struct Twin {
  Twin(const at::Tensor& value, at::ScalarType dtype)
      : ours(value.detach().to(dtype).clone().requires_grad_(true)),
        theirs(ours.detach().to(at::kFloat).clone().requires_grad_(true)),
        buffer(at::full_like(theirs.detach(), 99.0)) {  // what was there before must not matter
    slot.Bind(buffer);
  }
  Parameter parameter() { return {ours, &slot}; }
  at::Tensor ours, theirs, buffer;
  GradientSlot slot;
};

// |a - b| <= 2^-8 |b| if a is bf16, + 1e-5 of the largest |b|.
void ExpectClose(const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  if (a.numel() == 0) return;
  const at::Tensor wanted = b.detach().to(at::kDouble), error = (a.detach().to(at::kDouble) - wanted).abs();
  const double rounding = a.scalar_type() == at::kBFloat16 ? 0x1p-8 : 0.0;
  const double floor = 1e-5 * std::max(1e-12, wanted.abs().max().item<double>());
  EXPECT_LE((error - wanted.abs() * rounding).max().item<double>(), floor);
}

at::Tensor GradOf(const at::Tensor& output, const at::Tensor& input, const at::Tensor& dy) {
  return torch::autograd::grad({output}, {input}, {dy}, true, false, true)[0];
}

class NormActivationTest : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor Random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam()); }
};

// In a bf16 model the norms' weights stay fp32.
TEST_P(NormActivationTest, LayerNormMatchesAtenAndAddsUpOverCalls) {
  for (int64_t width : {7, 65, 768}) {
    for (bool with_bias : {true, false}) {
      Twin x(at::randn({3, 11, width}) * 2 + 1, GetParam());
      Twin weight(at::rand({width}) + 0.5, at::kFloat), bias(at::randn({width}), at::kFloat);
      const Parameter b = bias.parameter();
      const at::Tensor dy = Random({3, 11, width});
      const at::Tensor y = LayerNorm(x.ours, weight.parameter(), with_bias ? &b : nullptr);
      const at::Tensor y_ref = at::layer_norm(x.theirs, {width}, weight.theirs,
                                              with_bias ? std::optional<at::Tensor>(bias.theirs) : std::nullopt, 1e-5);
      EXPECT_EQ(y.scalar_type(), GetParam());
      ExpectClose(y, y_ref);
      const at::Tensor dx = GradOf(y, x.ours, dy), dy_ref = dy.to(at::kFloat);
      EXPECT_EQ(dx.scalar_type(), GetParam());
      ExpectClose(dx, GradOf(y_ref, x.theirs, dy_ref));
      const at::Tensor dw = GradOf(y_ref, weight.theirs, dy_ref);
      ExpectClose(weight.buffer, dw);
      GradOf(y, x.ours, dy);  // a second contribution
      ExpectClose(weight.buffer, dw * 2);
      if (with_bias) ExpectClose(bias.buffer, GradOf(y_ref, bias.theirs, dy_ref) * 2);
    }
  }
}

TEST_P(NormActivationTest, RmsNormMatchesAten) {
  for (int64_t width : {7, 65, 768}) {
    Twin x(at::randn({33, width}) * 2 + 1, GetParam()), weight(at::rand({width}) + 0.5, at::kFloat);
    const at::Tensor dy = Random({33, width}), dy_ref = dy.to(at::kFloat);
    const at::Tensor y = RmsNorm(x.ours, weight.parameter(), 1e-3);
    const at::Tensor y_ref = at::rms_norm(x.theirs, {width}, weight.theirs, 1e-3);
    ExpectClose(y, y_ref);
    ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy_ref));
    ExpectClose(weight.buffer, GradOf(y_ref, weight.theirs, dy_ref));
  }
}

TEST_P(NormActivationTest, NormsTakeNoRows) {
  Twin x(at::empty({0, 4, 8}), GetParam()), weight(at::ones({8}), at::kFloat);
  const at::Tensor y = LayerNorm(x.ours, weight.parameter(), nullptr);
  EXPECT_EQ(y.sizes(), x.ours.sizes());
  EXPECT_EQ(GradOf(y, x.ours, at::empty_like(y)).sizes(), x.ours.sizes());
  EXPECT_TRUE(weight.buffer.equal(at::zeros({8})));
}

TEST_P(NormActivationTest, ResidualsGradientIsAddedInTheNorm) {
  for (bool rms : {false, true}) {
    Twin x(at::randn({5, 70}), GetParam()), weight(at::rand({70}) + 0.5, at::kFloat);
    const at::Tensor dy = Random({5, 70}), around = Random({5, 70});
    const NormAndResidual out = rms ? RmsNormAndResidual(x.ours, weight.parameter(), 1e-5)
                                    : LayerNormAndResidual(x.ours, weight.parameter(), nullptr);
    EXPECT_EQ(out.residual.data_ptr(), x.ours.data_ptr()) << "a copy";
    const at::Tensor norm_ref = rms ? at::rms_norm(x.theirs, {70}, weight.theirs, 1e-5)
                                    : at::layer_norm(x.theirs, {70}, weight.theirs, {}, 1e-5);
    const auto both = torch::autograd::grad({out.norm, out.residual}, {x.ours}, {dy, around}, true, false, true);
    const auto ref =
        torch::autograd::grad({norm_ref, x.theirs * 1.0}, {x.theirs}, {dy.to(at::kFloat), around.to(at::kFloat)}, true);
    ExpectClose(both[0], ref[0]);
    ExpectClose(weight.buffer, GradOf(norm_ref, weight.theirs, dy.to(at::kFloat)));
    // Each way by itself.
    ExpectClose(GradOf(out.norm, x.ours, dy), GradOf(norm_ref, x.theirs, dy.to(at::kFloat)));
    EXPECT_TRUE(GradOf(out.residual, x.ours, around).equal(around));
  }
}

TEST_P(NormActivationTest, GeluMatchesAten) {
  for (GeluKind kind : {GeluKind::kExact, GeluKind::kTanh}) {
    Twin x(at::randn({3, 333}) * 3, GetParam());
    const at::Tensor dy = Random({3, 333});
    const at::Tensor y = Gelu(x.ours, kind), y_ref = at::gelu(x.theirs, kind == GeluKind::kTanh ? "tanh" : "none");
    ExpectClose(y, y_ref);
    ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy.to(at::kFloat)));
  }
}

TEST_P(NormActivationTest, SwiGluMatchesAten) {
  for (int64_t width : {1, 7, 65}) {
    Twin x(at::randn({2, 5, 2 * width}) * 3, GetParam());
    const at::Tensor dy = Random({2, 5, width});
    const std::vector<at::Tensor> halves = x.theirs.chunk(2, -1);
    const at::Tensor y = SwiGlu(x.ours), y_ref = at::silu(halves[0]) * halves[1];
    ExpectClose(y, y_ref);
    ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy.to(at::kFloat)));
  }
}

TEST_P(NormActivationTest, ReluIsAtensBitForBit) {
  const at::Tensor value = at::randn({2, 3, 5, 7});
  value.view({-1}).slice(0, 0, 20).zero_();
  for (at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor x = value.to(GetParam()).contiguous(format).requires_grad_(true), dy = Random({2, 3, 5, 7});
    const at::Tensor y = Relu(x), y_ref = at::relu(x);
    EXPECT_TRUE(y.equal(y_ref));
    EXPECT_EQ(y.strides(), x.strides());
    EXPECT_TRUE(GradOf(y, x, dy).equal(GradOf(y_ref, x, dy)));
    at::AutoGradMode evaluation(false);
    EXPECT_TRUE(Relu(x).equal(y_ref));
  }
}

// transformers' apply_rotary_pos_emb on the heads of q and k.
at::Tensor ReferenceRotary(const at::Tensor& qkv, int64_t heads, int64_t kv_heads, int64_t head_dim, double theta) {
  const int64_t n = qkv.size(0), t = qkv.size(1), half = head_dim / 2;
  const at::Tensor frequencies = 1.0 / at::pow(theta, at::arange(0, head_dim, 2).to(at::kFloat) / head_dim);
  const at::Tensor angles = at::outer(at::arange(t).to(at::kFloat), frequencies);
  const at::Tensor cos = at::cat({angles, angles}, 1).cos().unsqueeze(1),
                   sin = at::cat({angles, angles}, 1).sin().unsqueeze(1);
  const at::Tensor rows = qkv.view({n, t, heads + 2 * kv_heads, head_dim});
  const at::Tensor x = rows.narrow(2, 0, heads + kv_heads);
  const at::Tensor turned = at::cat({-x.narrow(3, half, half), x.narrow(3, 0, half)}, 3);
  return at::cat({x * cos + turned * sin, rows.narrow(2, heads + kv_heads, kv_heads)}, 2).view(qkv.sizes());
}

TEST_P(NormActivationTest, RotaryMatchesTransformersInPlaceAndBack) {
  const int64_t heads = 4, kv_heads = 2, head_dim = 10, columns = (heads + 2 * kv_heads) * head_dim;
  const RotaryTable table(50, head_dim, 10000.0);
  Twin x(at::randn({2, 33, columns}), GetParam());
  const at::Tensor dy = Random({2, 33, columns}), dy_before = dy.clone();
  const at::Tensor packed = x.ours * 1.0;  // as a Linear makes it
  const at::Tensor y = Rotary(packed, heads, kv_heads, table);
  EXPECT_EQ(y.data_ptr(), packed.data_ptr());
  const at::Tensor y_ref = ReferenceRotary(x.theirs, heads, kv_heads, head_dim, 10000.0);
  ExpectClose(y, y_ref);
  ExpectClose(GradOf(y, x.ours, dy), GradOf(y_ref, x.theirs, dy.to(at::kFloat)));
  EXPECT_TRUE(dy.equal(dy_before)) << "a gradient that others hold was overwritten";
  // With an operator behind it, whose gradient is nobody else's.
  ExpectClose(GradOf(y * 2.0, x.ours, dy), GradOf(y_ref * 2.0, x.theirs, dy.to(at::kFloat)));
}

TEST_P(NormActivationTest, RotaryTurnsWhatALinearMade) {
  const int64_t columns = 4 * 8;
  const RotaryTable table(9, 8, 10000.0);
  Twin x(at::randn({2, 9, 5}), GetParam()), weight(at::randn({columns, 5}), GetParam());
  const at::Tensor dy = Random({2, 9, columns});
  const at::Tensor product = Linear(x.ours, weight.parameter(), nullptr);
  const at::Tensor before = product.detach().to(at::kFloat).clone();
  const at::Tensor y = Rotary(product, 2, 1, table);
  ExpectClose(y, ReferenceRotary(before, 2, 1, 8, 10000.0));
  // The same gradient by way of a copy, which is turned out of place.
  const at::Tensor dx = GradOf(y, x.ours, dy), dw = weight.buffer.clone();
  weight.slot.Bind(weight.buffer);
  const at::Tensor y_copy = Rotary(Linear(x.ours, weight.parameter(), nullptr).clone(), 2, 1, table);
  EXPECT_TRUE(y.equal(y_copy));
  EXPECT_TRUE(GradOf(y_copy, x.ours, dy).equal(dx));
  EXPECT_TRUE(weight.buffer.equal(dw));
}

TEST_P(NormActivationTest, RotaryOverWhatAnOperatorKeptThrows) {
  const at::Tensor x = Random({1, 3, 16}).requires_grad_(true);
  const at::Tensor kept = x.exp();  // whose gradient is computed from its result
  const at::Tensor y = Rotary(kept, 2, 1, RotaryTable(3, 4, 500.0));
  EXPECT_THROW(GradOf(y, x, at::ones_like(y)), c10::Error);
}

TEST_P(NormActivationTest, RotaryWorksWithoutAutograd) {
  at::AutoGradMode evaluation(false);
  const at::Tensor x = Random({1, 3, 16});
  const at::Tensor y_ref = ReferenceRotary(x.to(at::kFloat), 2, 1, 4, 500.0);
  ExpectClose(Rotary(x.clone(), 2, 1, RotaryTable(3, 4, 500.0)), y_ref);
}

// Bytes that the graph holds beside x and the result.
template <class Operator>
int64_t KeptBytes(const at::Tensor& x, const Operator& run) {
  Books();
  const at::Tensor leaf = x.clone().requires_grad_(true);
  const int64_t before = Books().total_live();
  const at::Tensor y = run(leaf);
  return Books().total_live() - before - static_cast<int64_t>(y.nbytes());
}

TEST_P(NormActivationTest, ReluKeepsOneBitAnElement) {
  const at::Tensor x = Random({4096, 768});
  const int64_t bit_bytes = x.numel() / 8;
  const int64_t kept = KeptBytes(x, [](const at::Tensor& leaf) { return Relu(leaf); });
  EXPECT_EQ(kept, bit_bytes);
  // Neither the input nor the result is held by the graph: with both gone, the mask is all there is.
  Books();
  const int64_t before = Books().total_live();
  const std::shared_ptr<torch::autograd::Node> graph = [&] {
    const at::Tensor leaf = x.clone().requires_grad_(true);
    return Relu(leaf * 1.0).grad_fn();
  }();
  const int64_t held = Books().total_live() - before - static_cast<int64_t>(x.nbytes());  // the leaf, in AccumulateGrad
  EXPECT_LE(held, bit_bytes + bit_bytes / 100 + 64);
}

TEST_P(NormActivationTest, OthersKeepTheirInputAndStatistics) {
  const at::Tensor x = Random({512, 768});
  Twin weight(at::ones({768}), at::kFloat);
  EXPECT_EQ(KeptBytes(x, [](const at::Tensor& leaf) { return Gelu(leaf, GeluKind::kTanh); }), 0);
  EXPECT_EQ(KeptBytes(x, [](const at::Tensor& leaf) { return SwiGlu(leaf); }), 0);
  EXPECT_EQ(KeptBytes(x, [&](const at::Tensor& leaf) { return LayerNorm(leaf, weight.parameter(), nullptr); }),
            2 * 512 * 4);
  EXPECT_EQ(KeptBytes(x, [&](const at::Tensor& leaf) { return RmsNorm(leaf, weight.parameter(), 1e-5); }), 512 * 4);
}

INSTANTIATE_TEST_SUITE_P(Types, NormActivationTest, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace stowage::ops
