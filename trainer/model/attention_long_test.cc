// Peak bytes of attention at the lengths it is made for, in 10^6 bytes, by the counting allocator, with two threads.
//
// The dense form is measured on one sample and multiplied: all it holds is proportional to samples, and eight samples
// of 4096 tokens would take 13 GB.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "trainer/model/attention_peaks.h"
#include "trainer/model/ops/attention.h"

namespace stowage {
namespace {

constexpr double kMega = 1e6;

AttentionForm Form(ops::AttentionKind kind, int64_t chunk) {
  return [=](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    ops::AttentionOptions options;
    options.kind = kind;
    options.chunk = chunk;
    return ops::Attention(q, k, v, /*mask=*/{}, options);
  };
}

at::Tensor Dense(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return DenseAttention(q, k, v, /*causal=*/false);
}

AttentionPeaks Measure(const std::string& name, const AttentionForm& form, int64_t n, int64_t t, int64_t times = 1) {
  at::set_num_threads(2);
  AttentionPeaks peaks = MeasureAttention(form, n, /*heads=*/8, t, /*head_dim=*/64);
  for (int64_t* bytes : {&peaks.forward, &peaks.forward_in_all, &peaks.kept, &peaks.forward_backward}) *bytes *= times;
  std::cout << name << " (" << n * times << ", 8, " << t << ", 64): forward " << peaks.forward / kMega
            << " MB, with q, k, v " << peaks.forward_in_all / kMega << " MB, kept beside the output "
            << peaks.kept / kMega << " MB; forward and backward with all inputs and gradients "
            << peaks.forward_backward / kMega << " MB\n";
  return peaks;
}

// Everything counted: q, k, v, output, their gradients, scratch.
TEST(AttentionPeakTest, Chunked512Of2048TokensStaysWithin150MbWhereDenseTakes1600) {
  const AttentionPeaks ours = Measure("chunked 512", Form(ops::AttentionKind::kChunked, 512), 4, 2048);
  EXPECT_LE(ours.forward_backward, 150 * kMega);
  const AttentionPeaks dense = Measure("dense", Dense, 1, 2048, 4);
  EXPECT_GE(dense.forward_backward, 1600 * kMega);
}

// Forward, with q, k and v.
TEST(AttentionPeakTest, Chunked256Of4096TokensStaysWithin350MbForward) {
  const AttentionPeaks ours = Measure("chunked 256", Form(ops::AttentionKind::kChunked, 256), 8, 4096);
  EXPECT_LE(ours.forward_in_all, 350 * kMega);
  const AttentionPeaks dense = Measure("dense", Dense, 1, 4096, 8);
  EXPECT_GE(dense.forward_backward, 12000 * kMega);
  EXPECT_LE(ours.forward_in_all, 0.03 * dense.forward_backward);
}

// Forward, beside q, k and v.
TEST(AttentionPeakTest, FusedOf4096TokensStaysWithin250MbForward) {
  const AttentionPeaks fused = Measure("fused", Form(ops::AttentionKind::kFused, 512), 8, 4096);
  EXPECT_LE(fused.forward, 250 * kMega);
  EXPECT_LE(fused.kept, 250 * kMega);
}

}  // namespace
}  // namespace stowage
