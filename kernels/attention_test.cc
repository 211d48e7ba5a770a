// Attention against the dense form in fp64.
//
// Tolerances: of the largest element of what is compared, 1e-5 forward and 1e-4 backward in fp32 (sums of up to some
// hundred products, each rounded to 6e-8, and exponentials within 1e-7; a wrong or missing term is off by far more).
// In bf16 inputs are exact in both, arithmetic is fp32 in ours, and only results are rounded: 2^-8 of an element, so
// 5e-3 of the largest; backward's delta comes from the rounded output, which adds as much again: 1e-2.
#include "kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

at::Tensor Random(std::vector<int64_t> shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  int64_t numel = 1;
  for (int64_t n : shape) numel *= n;
  std::vector<float> values = TestValues(numel, seed);
  return (at::from_blob(values.data(), shape, at::kFloat) * 2).to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

struct Case {
  AttentionShape shape;
  AttentionOptions options;
  at::ScalarType dtype = at::kFloat;
  at::Tensor mask;  // broadcast to [n, heads, t_q, t_k]; undefined: none
};

// [n, heads, t, d]; log_sum_exp [n, heads, t].
struct Result {
  at::Tensor out, log_sum_exp, dq, dk, dv;
};

AttentionTensor View(const at::Tensor& x) { return {x.data_ptr(), x.stride(0), x.stride(1), x.stride(2)}; }

AttentionMask MaskView(const at::Tensor& mask) {
  if (!mask.defined()) return {};
  return {mask.scalar_type() == at::kBool ? AttentionMask::Kind::kVisible : AttentionMask::Kind::kAdded,
          mask.data_ptr(),
          mask.stride(0),
          mask.stride(1),
          mask.stride(2),
          mask.stride(3)};
}

// Rows of queries and of keys and values each packed with a gap of 3 elements, which nobody may touch.
struct Inputs {
  explicit Inputs(const Case& c)
      : q_rows(Random({c.shape.samples, c.shape.queries, c.shape.heads * c.shape.head_dim + 3}, 1, c.dtype)),
        kv_rows(Random({c.shape.samples, c.shape.keys, 2 * c.shape.kv_heads * c.shape.head_dim + 3}, 2, c.dtype)),
        dout_rows(Random({c.shape.samples, c.shape.queries, c.shape.heads * c.shape.head_dim}, 3, c.dtype)) {}
  at::Tensor q_rows, kv_rows, dout_rows;
};

at::Tensor Part(const at::Tensor& rows, int64_t first_head, int64_t heads, int64_t head_dim) {
  return rows.narrow(2, first_head * head_dim, heads * head_dim)
      .view({rows.size(0), rows.size(1), heads, head_dim})
      .transpose(1, 2);
}

Result Ours(const Case& c, const Inputs& in, int64_t workers) {
  const AttentionShape& s = c.shape;
  const int64_t d = s.head_dim;
  const auto poisoned = [&](const at::Tensor& like) { return at::full_like(like, 7.0); };
  const at::Tensor out_rows = poisoned(in.dout_rows), dq_rows = poisoned(in.q_rows), dkv_rows = poisoned(in.kv_rows);
  const at::Tensor log_sum_exp = at::empty({s.samples, s.heads, s.queries});
  const at::Tensor scratch = at::full(
      {workers * std::max(AttentionForwardScratchNumel(s, c.options), AttentionBackwardScratchNumel(s, c.options))},
      NAN);
  const at::Tensor q = Part(in.q_rows, 0, s.heads, d), k = Part(in.kv_rows, 0, s.kv_heads, d);
  const at::Tensor v = Part(in.kv_rows, s.kv_heads, s.kv_heads, d), dout = Part(in.dout_rows, 0, s.heads, d);
  Result r{Part(out_rows, 0, s.heads, d), log_sum_exp, Part(dq_rows, 0, s.heads, d), Part(dkv_rows, 0, s.kv_heads, d),
           Part(dkv_rows, s.kv_heads, s.kv_heads, d)};
  const DType dtype = c.dtype == at::kFloat ? DType::kFloat32 : DType::kBFloat16;
  AttentionForward(s, c.options, dtype, View(q), View(k), View(v), MaskView(c.mask), View(r.out),
                   log_sum_exp.data_ptr<float>(), scratch.data_ptr<float>(), workers);
  AttentionBackward(s, c.options, dtype, View(q), View(k), View(v), MaskView(c.mask), View(r.out),
                    log_sum_exp.data_ptr<float>(), View(dout), {View(r.dq), View(r.dk), View(r.dv)},
                    scratch.data_ptr<float>(), workers);
  EXPECT_TRUE((dq_rows.narrow(2, s.heads * d, 3) == 7).all().item<bool>()) << "wrote beside dq";
  EXPECT_TRUE((dkv_rows.narrow(2, 2 * s.kv_heads * d, 3) == 7).all().item<bool>()) << "wrote beside dk, dv";
  return r;
}

Result Dense(const Case& c, const Inputs& in) {
  const AttentionShape& s = c.shape;
  const int64_t d = s.head_dim, group = s.heads / s.kv_heads;
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const at::Tensor q = wide(Part(in.q_rows, 0, s.heads, d)), dout = wide(Part(in.dout_rows, 0, s.heads, d));
  const at::Tensor k = wide(Part(in.kv_rows, 0, s.kv_heads, d)).repeat_interleave(group, 1);
  const at::Tensor v = wide(Part(in.kv_rows, s.kv_heads, s.kv_heads, d)).repeat_interleave(group, 1);
  at::Tensor scores = q.matmul(k.transpose(2, 3)) * c.options.scale;
  if (c.mask.defined() && c.mask.scalar_type() == at::kBool)
    scores = scores.masked_fill(c.mask.logical_not(), -INFINITY);
  if (c.mask.defined() && c.mask.scalar_type() != at::kBool) scores = scores + c.mask;
  if (c.options.causal) {
    scores = scores.masked_fill(at::ones({s.queries, s.keys}, at::kBool).tril().logical_not(), -INFINITY);
  }
  const at::Tensor log_sum_exp = scores.logsumexp(3);
  at::Tensor p = (scores - log_sum_exp.unsqueeze(3)).exp();
  p = p.masked_fill(log_sum_exp.unsqueeze(3).isneginf(), 0.0);  // a query that sees no key
  const at::Tensor dp = dout.matmul(v.transpose(2, 3));
  const at::Tensor ds = p * (dp - (dp * p).sum(3, true)) * c.options.scale;
  const auto by_kv_head = [&](const at::Tensor& x) { return x.unflatten(1, {s.kv_heads, group}).sum(2); };
  return {p.matmul(v), log_sum_exp, ds.matmul(k), by_kv_head(ds.transpose(2, 3).matmul(q)),
          by_kv_head(p.transpose(2, 3).matmul(dout))};
}

void ExpectClose(const at::Tensor& ours, const at::Tensor& dense, double tolerance, const char* what) {
  if (dense.numel() == 0) return;
  EXPECT_TRUE(ours.isfinite().equal(dense.isfinite())) << what << " is not finite elsewhere";
  const auto finite = [](const at::Tensor& x) { return x.to(at::kDouble).nan_to_num(0.0, 0.0, 0.0); };
  const double scale =
      std::max(1.0, dense.isfinite().any().item<bool>() ? finite(dense).abs().max().item<double>() : 1.0);
  EXPECT_LE((finite(ours) - finite(dense)).abs().max().item<double>() / scale, tolerance) << what;
}

void ExpectMatches(const Case& c, const Result& ours, const Result& dense) {
  const bool fp32 = c.dtype == at::kFloat;
  ExpectClose(ours.out, dense.out, fp32 ? 1e-5 : 5e-3, "out");
  ExpectClose(ours.log_sum_exp, dense.log_sum_exp, 1e-5, "log-sum-exp");
  ExpectClose(ours.dq, dense.dq, fp32 ? 1e-4 : 1e-2, "dq");
  ExpectClose(ours.dk, dense.dk, fp32 ? 1e-4 : 1e-2, "dk");
  ExpectClose(ours.dv, dense.dv, fp32 ? 1e-4 : 1e-2, "dv");
}

void ExpectMatchesDense(const Case& c) {
  const Inputs in(c);
  ExpectMatches(c, Ours(c, in, 2), Dense(c, in));
}

void ExpectMatchesDenseByEveryWidth(const Case& c) {
  const Inputs in(c);
  const Result dense = Dense(c, in);
  ForEachWidthAndThreadCount([&](const std::string& machine) {
    SCOPED_TRACE(machine);
    ExpectMatches(c, Ours(c, in, 2), dense);
  });
}

Case MakeCase(AttentionShape shape, bool causal, int64_t chunk = kAttentionChunk) {
  Case c;
  c.shape = shape;
  c.options.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  c.options.causal = causal;
  c.options.chunk = chunk;
  return c;
}

TEST(AttentionTest, MatchesDenseOf512TokensWithinItsTolerance) {
  for (bool causal : {false, true}) ExpectMatchesDense(MakeCase({2, 4, 4, 512, 512, 64}, causal));
}

TEST(AttentionTest, MatchesDenseForOddLengthsByEveryVectorWidth) {
  for (bool causal : {false, true}) {
    for (const auto& [queries, keys] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {7, 7}, {33, 33}, {129, 129}, {257, 257}, {1, 257}, {257, 7}, {130, 140}, {140, 130}}) {
      SCOPED_TRACE((causal ? "causal " : "") + std::to_string(queries) + " x " + std::to_string(keys));
      ExpectMatchesDenseByEveryWidth(MakeCase({1, 2, 2, queries, keys, 16}, causal));
    }
  }
}

TEST(AttentionTest, MatchesDenseOf513Tokens) {
  for (bool causal : {false, true}) ExpectMatchesDense(MakeCase({1, 1, 1, 513, 513, 64}, causal));
}

TEST(AttentionTest, MatchesDenseForAnyHeadDimensionByEveryVectorWidth) {
  for (int64_t head_dim : {1, 3, 8, 17, 40, 64, 80, 96, 128, 200}) {
    SCOPED_TRACE(head_dim);
    ExpectMatchesDenseByEveryWidth(MakeCase({1, 1, 1, 37, 37, head_dim}, true));
  }
}

TEST(AttentionTest, MatchesDenseForAnyChunk) {
  for (int64_t chunk : {1, 5, 16, 24, 100, 127, 1000}) {
    SCOPED_TRACE(chunk);
    for (bool causal : {false, true}) ExpectMatchesDense(MakeCase({1, 2, 2, 150, 150, 32}, causal, chunk));
  }
}

TEST(AttentionTest, GroupsOfQueryHeadsShareAKeyHead) {
  for (int64_t kv_heads : {1, 2, 3, 6}) {
    SCOPED_TRACE(kv_heads);
    ExpectMatchesDense(MakeCase({2, 6, kv_heads, 150, 150, 32}, true));
  }
}

TEST(AttentionTest, MasksHideKeysAndAreAdded) {
  for (bool causal : {false, true}) {
    SCOPED_TRACE(causal);
    Case c = MakeCase({2, 4, 2, 150, 143, 24}, causal);
    const at::Tensor noise = Random({2, 4, 150, 143}, 9);
    c.mask = noise > -0.5;
    ExpectMatchesDenseByEveryWidth(c);
    c.mask = noise * 3;
    ExpectMatchesDenseByEveryWidth(c);
    c.mask = noise.masked_fill(noise < 0, -INFINITY);
    ExpectMatchesDenseByEveryWidth(c);
    // Padding: one mask of keys a sample, for all heads and queries; the memory is [2, 143].
    c.mask = (at::arange(143) < at::tensor({100, 143}).unsqueeze(1)).view({2, 1, 1, 143}).expand({2, 4, 150, 143});
    ExpectMatchesDenseByEveryWidth(c);
  }
}

TEST(AttentionTest, QueriesThatSeeNoKeyHaveZeroOutputAndGradient) {
  for (bool causal : {false, true}) {
    Case c = MakeCase({1, 2, 2, 140, 140, 32}, causal);
    c.mask = at::ones({1, 2, 140, 140}, at::kBool);
    c.mask.narrow(2, 3, 2).zero_();                     // some rows of a vector
    c.mask.narrow(2, 128, 12).zero_();                  // a whole tile
    c.mask.narrow(3, 0, 135).narrow(2, 70, 3).zero_();  // rows whose first key comes in the last tile
    ExpectMatchesDense(c);
    const Inputs in(c);
    const Result r = Ours(c, in, 1);
    for (int64_t row : {3, 4, 128, 139}) {
      EXPECT_TRUE((r.out.select(2, row) == 0).all().item<bool>()) << row;
      EXPECT_TRUE((r.dq.select(2, row) == 0).all().item<bool>()) << row;
    }
    // Hidden with a number and not with infinity: the scores drown, and nothing overflows.
    c.mask = at::zeros({1, 2, 140, 140});
    c.mask.narrow(3, 100, 40).fill_(std::numeric_limits<float>::lowest());
    ExpectMatchesDense(c);
  }
}

TEST(AttentionTest, WithoutKeysOrQueriesNothingIsReadAndZerosAreWritten) {
  ExpectMatchesDense(MakeCase({2, 2, 1, 5, 0, 8}, false));
  ExpectMatchesDense(MakeCase({2, 2, 1, 0, 5, 8}, true));
  ExpectMatchesDense(MakeCase({0, 2, 1, 5, 5, 8}, true));
}

TEST(AttentionTest, BFloat16IsComputedInFp32AndRoundedOnce) {
  for (int64_t head_dim : {20, 64}) {
    SCOPED_TRACE(head_dim);
    Case c = MakeCase({1, 4, 2, 257, 257, head_dim}, true);
    c.dtype = at::kBFloat16;
    ExpectMatchesDenseByEveryWidth(c);
    // Half a unit in the last of 8 bits is 2^-9 of the number or up to 2^-8 of it; a second rounding would show.
    const Inputs in(c);
    const at::Tensor out = Ours(c, in, 1).out.to(at::kDouble), dense = Dense(c, in).out;
    EXPECT_LE(((out - dense).abs() / dense.abs().clamp_min(1e-3)).max().item<double>(), 1.02 / 256);
  }
}

TEST(AttentionTest, LargeScoresDoNotOverflow) {
  Case c = MakeCase({1, 1, 1, 140, 140, 64}, true);
  c.options.scale = 100.0f;
  const Inputs in(c);
  const Result ours = Ours(c, in, 1), dense = Dense(c, in);
  // Scores near 1e4 are themselves rounded to 1e-3.
  ExpectClose(ours.out, dense.out, 1e-2, "out");
  EXPECT_TRUE(ours.dq.isfinite().all().item<bool>());
}

TEST(AttentionTest, NanStaysNan) {
  const Case c = MakeCase({1, 1, 1, 140, 140, 16}, true);
  const Inputs in(c);
  in.kv_rows[0][70][0] = NAN;  // of key 70
  const Result r = Ours(c, in, 1);
  EXPECT_TRUE(r.out.narrow(2, 0, 70).isfinite().all().item<bool>());
  EXPECT_TRUE(r.out.narrow(2, 70, 70).isnan().all().item<bool>());
}

TEST(AttentionTest, SameBitsForAnyNumberOfThreadsAndWorkers) {
  const Machine restore;
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Case c = MakeCase({2, 6, 2, 300, 300, 64}, true);
    c.dtype = dtype;
    const Inputs in(c);
    at::set_num_threads(1);
    const Result one = Ours(c, in, 1);
    for (int threads : {1, 2, 3}) {
      for (int64_t workers : {2, 5}) {
        at::set_num_threads(threads);
        const Result other = Ours(c, in, workers);
        EXPECT_TRUE(one.out.equal(other.out) && one.log_sum_exp.equal(other.log_sum_exp) && one.dq.equal(other.dq) &&
                    one.dk.equal(other.dk) && one.dv.equal(other.dv))
            << threads << " threads, " << workers << " workers";
      }
    }
  }
}

TEST(AttentionTest, ScratchDoesNotGrowWithTheSquareOfTokens) {
  const auto forward = [](int64_t t) {
    return AttentionForwardScratchNumel({1, 1, 1, t, t, 64}, {1.0f, true, kAttentionChunk});
  };
  const auto backward = [](int64_t t) {
    return AttentionBackwardScratchNumel({1, 1, 1, t, t, 64}, {1.0f, true, kAttentionChunk});
  };
  EXPECT_EQ(forward(1 << 20), forward(1 << 12));
  EXPECT_LE(backward(1 << 20), 4 * 64 * (1 << 20) + forward(1 << 12) * 4);
}

}  // namespace
}  // namespace stowage::kernels
