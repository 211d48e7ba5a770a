// Attention as an operator, against the dense form by ATen's autograd. Tolerances are explained in
// kernels/attention_test.cc, where the arithmetic is tested for every shape and vector width.
#include "trainer/model/ops/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "trainer/model/attention_peaks.h"

namespace stowage::ops {
namespace {

using Tensors = std::vector<at::Tensor>;

AttentionOptions Options(AttentionKind kind, bool causal) {
  AttentionOptions options;
  options.kind = kind;
  options.causal = causal;
  return options;
}

void ExpectClose(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  const at::Tensor wide = b.to(at::kDouble);
  const double scale = std::max(1.0, wide.abs().max().item<double>());
  EXPECT_LE((a.to(at::kDouble) - wide).abs().max().item<double>() / scale, tolerance);
}

Tensors Gradients(const at::Tensor& out, const Tensors& inputs, const at::Tensor& dout) {
  return torch::autograd::grad({out}, inputs, {dout}, /*retain_graph=*/true);
}

// The parts of packed rows, each [n, heads, t, d], keys and values repeated for the heads that share them.
Tensors Unpacked(const at::Tensor& qkv, int64_t heads, int64_t kv_heads) {
  const int64_t d = qkv.size(2) / (heads + 2 * kv_heads);
  const at::Tensor by_head = qkv.unflatten(2, {heads + 2 * kv_heads, d}).transpose(1, 2);
  const auto repeated = [&](int64_t first) {
    return by_head.narrow(1, first, kv_heads).repeat_interleave(heads / kv_heads, 1);
  };
  return {by_head.narrow(1, 0, heads), repeated(heads), repeated(heads + kv_heads)};
}

at::Tensor DensePacked(const at::Tensor& qkv, int64_t heads, int64_t kv_heads, bool causal) {
  const Tensors x = Unpacked(qkv, heads, kv_heads);
  return DenseAttention(x[0], x[1], x[2], causal).transpose(1, 2).flatten(2);
}

void CheckPacked(AttentionKind kind, int64_t n, int64_t heads, int64_t kv_heads, int64_t t, int64_t d, bool causal,
                 double forward_tolerance = 1e-5) {
  SCOPED_TRACE(testing::Message() << "t " << t << ", heads " << heads << "/" << kv_heads << ", causal " << causal);
  at::manual_seed(1);
  const at::Tensor qkv = at::randn({n, t, (heads + 2 * kv_heads) * d}).requires_grad_(true);
  const at::Tensor dout = at::randn({n, t, heads * d});
  const at::Tensor out = SelfAttention(qkv, heads, kv_heads, Options(kind, causal));
  const at::Tensor wide = qkv.detach().to(at::kDouble).requires_grad_(true);
  const at::Tensor dense = DensePacked(wide, heads, kv_heads, causal);
  ExpectClose(out, dense, forward_tolerance);
  ExpectClose(Gradients(out, {qkv}, dout)[0], Gradients(dense, {wide}, dout.to(at::kDouble))[0], 1e-4);
}

TEST(AttentionTest, AutoIsChunkedOnCpusAndFusedElsewhereAbove1024Tokens) {
  ASSERT_EQ(kLongestChunkedTokens, 1024);
  for (int64_t tokens : {1, 1024, 1025, 65536}) {
    EXPECT_EQ(SelectAttention(AttentionKind::kAuto, at::kCPU, tokens), AttentionKind::kChunked);
  }
  EXPECT_EQ(SelectAttention(AttentionKind::kAuto, at::kCUDA, 1024), AttentionKind::kChunked);
  EXPECT_EQ(SelectAttention(AttentionKind::kAuto, at::kCUDA, 1025), AttentionKind::kFused);
  for (AttentionKind asked : {AttentionKind::kFused, AttentionKind::kChunked}) {
    EXPECT_EQ(SelectAttention(asked, at::kCPU, 1024), asked);
    EXPECT_EQ(SelectAttention(asked, at::kCPU, 1025), asked);
  }
  EXPECT_EQ(AttentionKindFrom("auto"), AttentionKind::kAuto);
  EXPECT_EQ(AttentionKindFrom("fused"), AttentionKind::kFused);
  EXPECT_EQ(AttentionKindFrom("chunked"), AttentionKind::kChunked);
}

TEST(AttentionTest, PackedRowsMatchDense) {
  for (bool causal : {false, true}) CheckPacked(AttentionKind::kChunked, 2, 4, 4, 512, 64, causal);
  for (int64_t t : {1, 7, 257, 513}) CheckPacked(AttentionKind::kChunked, 1, 2, 2, t, 32, true);
  CheckPacked(AttentionKind::kChunked, 2, 6, 2, 130, 64, true);
  CheckPacked(AttentionKind::kChunked, 2, 6, 1, 130, 24, false);
}

TEST(AttentionTest, FusedMatchesDense) {
  for (bool causal : {false, true}) CheckPacked(AttentionKind::kFused, 2, 4, 4, 257, 64, causal, 1e-4);
  CheckPacked(AttentionKind::kFused, 2, 6, 2, 130, 32, true, 1e-4);
}

TEST(AttentionTest, ChunkedAndFusedAgree) {
  at::manual_seed(2);
  const at::Tensor qkv = at::randn({2, 300, 3 * 4 * 64}).requires_grad_(true), dout = at::randn({2, 300, 4 * 64});
  const at::Tensor ours = SelfAttention(qkv, 4, 4, Options(AttentionKind::kChunked, true));
  const at::Tensor theirs = SelfAttention(qkv, 4, 4, Options(AttentionKind::kFused, true));
  ExpectClose(ours, theirs, 1e-4);
  ExpectClose(Gradients(ours, {qkv}, dout)[0], Gradients(theirs, {qkv}, dout)[0], 1e-4);
}

TEST(AttentionTest, RowsWithGapsAreReadInPlaceAndAnyGradientComesBack) {
  at::manual_seed(3);
  const at::Tensor wide = at::randn({2, 40, 3 * 32 + 5}).requires_grad_(true);
  const at::Tensor out = SelfAttention(wide.narrow(2, 5, 96), 2, 2, Options(AttentionKind::kAuto, true));
  const at::Tensor dense = DensePacked(wide.narrow(2, 5, 96), 2, 2, true);
  ExpectClose(out, dense, 1e-5);
  // A gradient that is expanded from one number, and one whose rows are not contiguous.
  for (const at::Tensor& dout : {at::ones({}).expand_as(out), at::randn({2, 32, 40}).transpose(1, 2)}) {
    ExpectClose(Gradients(out.clone(), {wide}, dout)[0], Gradients(dense.clone(), {wide}, dout)[0], 1e-4);
  }
}

TEST(AttentionTest, SeparateTensorsOfAnyStridesAndMasksMatchDense) {
  at::manual_seed(4);
  const auto input = [](std::vector<int64_t> shape) { return at::randn(shape).requires_grad_(true); };
  // [n, t, h, d] in memory; keys of another length; values whose last dimension is not contiguous.
  const at::Tensor q = input({2, 33, 4, 16}), k = input({2, 50, 2, 16}), v = input({2, 2, 16, 50});
  const at::Tensor qh = q.transpose(1, 2), kh = k.transpose(1, 2), vh = v.transpose(2, 3);
  const at::Tensor dout = at::randn({2, 4, 33, 16});
  const at::Tensor padding = at::arange(50).lt(at::tensor({50, 31}).view({2, 1, 1, 1}));
  const at::Tensor bias = at::randn({4, 33, 50});
  for (const at::Tensor& mask : {at::Tensor(), padding, bias, bias.to(at::kDouble)}) {
    const at::Tensor out = Attention(qh, kh, vh, mask, Options(AttentionKind::kAuto, false));
    at::Tensor scores = qh.matmul(kh.repeat_interleave(2, 1).transpose(2, 3)) / 4.0;
    if (mask.defined() && mask.scalar_type() == at::kBool) scores = scores.masked_fill(mask.logical_not(), -INFINITY);
    if (mask.defined() && mask.scalar_type() != at::kBool) scores = scores + mask.to(at::kFloat);
    const at::Tensor dense = scores.softmax(3).matmul(vh.repeat_interleave(2, 1));
    ExpectClose(out, dense, 1e-5);
    EXPECT_TRUE(out.transpose(1, 2).is_contiguous());
    const Tensors ours = Gradients(out, {q, k, v}, dout), theirs = Gradients(dense, {q, k, v}, dout);
    for (int i = 0; i < 3; ++i) ExpectClose(ours[i], theirs[i], 1e-4);
  }
}

TEST(AttentionTest, CausalAndMaskApplyTogether) {
  at::manual_seed(5);
  const at::Tensor q = at::randn({1, 2, 20, 8}), k = at::randn({1, 2, 20, 8}), v = at::randn({1, 2, 20, 8});
  const at::Tensor mask = at::ones({20, 20}, at::kBool).triu(-4);  // a window of 5 keys, together with causality
  const at::Tensor both = mask.logical_and(at::ones({20, 20}, at::kBool).tril());
  const at::Tensor out = Attention(q, k, v, mask, Options(AttentionKind::kChunked, true));
  ExpectClose(out, Attention(q, k, v, both, Options(AttentionKind::kFused, false)), 1e-5);
  EXPECT_THROW(Attention(q, k, v, mask, Options(AttentionKind::kFused, true)), c10::Error);
}

// Inputs are the same in both; ours rounds the output once (2^-9 of an element) and its gradients once, after a delta
// from the rounded output.
TEST(AttentionTest, BFloat16MatchesDenseOfTheSameInputs) {
  at::manual_seed(6);
  const at::Tensor qkv = at::randn({2, 257, (4 + 2 * 2) * 64}).to(at::kBFloat16).requires_grad_(true);
  const at::Tensor dout = at::randn({2, 257, 4 * 64}).to(at::kBFloat16);
  const at::Tensor wide = qkv.detach().to(at::kDouble).requires_grad_(true);
  const at::Tensor out = SelfAttention(qkv, 4, 2, Options(AttentionKind::kAuto, true));
  const at::Tensor dense = DensePacked(wide, 4, 2, true);
  ASSERT_EQ(out.scalar_type(), at::kBFloat16);
  ExpectClose(out, dense, 5e-3);
  const at::Tensor gradient = Gradients(out, {qkv}, dout)[0];
  ASSERT_EQ(gradient.scalar_type(), at::kBFloat16);
  ExpectClose(gradient, Gradients(dense, {wide}, dout.to(at::kDouble))[0], 1e-2);
}

TEST(AttentionTest, SameBitsByOneThreadAndByTwo) {
  at::manual_seed(7);
  const at::Tensor qkv = at::randn({2, 200, 3 * 3 * 64}).requires_grad_(true), dout = at::randn({2, 200, 3 * 64});
  const int threads = at::get_num_threads();
  Tensors out, gradient;
  for (int count : {1, 2}) {
    at::set_num_threads(count);
    out.push_back(SelfAttention(qkv, 3, 3, Options(AttentionKind::kChunked, true)));
    gradient.push_back(Gradients(out.back(), {qkv}, dout)[0]);
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(out[0].equal(out[1]));
  EXPECT_TRUE(gradient[0].equal(gradient[1]));
}

AttentionForm Chunked(int64_t chunk) {
  return [chunk](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    AttentionOptions options = Options(AttentionKind::kChunked, false);
    options.chunk = chunk;
    return Attention(q, k, v, {}, options);
  };
}

at::Tensor Fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return Attention(q, k, v, {}, Options(AttentionKind::kFused, false));
}

at::Tensor Dense(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return DenseAttention(q, k, v, /*causal=*/false);
}

// A quarter of the tokens of the long test's first case, an eighth of its samples: what is linear in tokens is a
// sixteenth to an eighth of that one, what is quadratic 1/64.
TEST(AttentionTest, NoTensorOfScoresIsMadeOrKept) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  constexpr int64_t kTokens = 1024, kHeads = 4, kDim = 64;
  constexpr int64_t kTensor = kHeads * kTokens * kDim * 4, kScores = kHeads * kTokens * kTokens * 4;
  const AttentionPeaks ours = MeasureAttention(Chunked(512), 1, kHeads, kTokens, kDim);
  const AttentionPeaks fused = MeasureAttention(Fused, 1, kHeads, kTokens, kDim);
  const AttentionPeaks dense = MeasureAttention(Dense, 1, kHeads, kTokens, kDim);
  at::set_num_threads(threads);
  // Kept: one number per query and head.
  EXPECT_EQ(ours.kept, kHeads * kTokens * 4);
  EXPECT_LT(fused.kept, kScores / 8);
  EXPECT_GE(dense.kept, kScores);
  // Forward: the output and scratch of two workers, tiles each of at most 128 * 144 numbers.
  EXPECT_LE(ours.forward, kTensor + ours.kept + 2 * (6 * 128 * 144 * 4));
  // In all: q, k, v, out and a gradient of each; a worker's copies of a head's k, v and their gradients; tiles.
  EXPECT_LE(ours.forward_backward, 8 * kTensor + ours.kept + 2 * (4 * kTokens * kDim * 4 + 8 * 128 * 144 * 4));
  EXPECT_GE(dense.forward_backward, 8 * kTensor + 2 * kScores);
}

TEST(AttentionTest, MisuseThrowsAndSaysWhatFits) {
  const AttentionOptions options;
  const auto message = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "";
  };
  using testing::Test;
  const at::Tensor x = at::randn({1, 2, 4, 8});
  EXPECT_NE(message([&] {
              SelfAttention(at::randn({1, 4, 25}), 2, 2, options);
            }).find("no multiple"),
            std::string::npos);
  EXPECT_NE(message([&] {
              SelfAttention(at::randn({1, 4, 56}), 3, 2, options);
            }).find("must divide heads"),
            std::string::npos);
  EXPECT_NE(message([&] {
              Attention(x, at::randn({1, 2, 4, 16}), at::randn({1, 2, 4, 16}), {}, options);
            }).find("[n, kv_heads, t_k, d]"),
            std::string::npos);
  EXPECT_NE(message([&] { Attention(x, x.to(at::kBFloat16), x, {}, options); }).find("dtype"), std::string::npos);
  const at::Tensor wide = x.to(at::kDouble);
  EXPECT_NE(message([&] { Attention(wide, wide, wide, {}, options); }).find("use kFused"), std::string::npos);
  const at::Tensor learned = at::zeros({4, 4}).requires_grad_(true);
  EXPECT_NE(message([&] { Attention(x, x, x, learned, options); }).find("no gradient"), std::string::npos);
}

}  // namespace
}  // namespace stowage::ops
