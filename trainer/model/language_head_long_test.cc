// Peak bytes of the head with its loss at GPT-2 124M's size, in 10^6 bytes, by the counting allocator: chunks of rows
// beside whole logits.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <iostream>

#include "memory/counting_allocator.h"
#include "memory/ledger.h"
#include "trainer/model/ops/language_head.h"

namespace stowage {
namespace {

constexpr double kMega = 1e6;
constexpr int64_t kRows = 4 * 1024, kWidth = 768, kVocabulary = 50257;

// Most bytes held during `work` beyond those held before.
int64_t PeakOf(const std::function<void()>& work) {
  static Ledger* const ledger = [] {
    auto* made = new Ledger;  // lives as long as any tensor
    EXPECT_TRUE(InstallCountingAllocator(made).ok());
    return made;
  }();
  ledger->ResetPeaks();
  const int64_t before = ledger->total_live();
  work();
  return ledger->total_peak() - before;
}

TEST(LanguageHeadPeakTest, FourSequencesOf1024TokensHoldOneChunkOfLogitsWhereThePlainFormHoldsThemWhole) {
  PeakOf([] {});  // installs the allocator before the first tensor
  at::set_num_threads(2);
  const at::Tensor x = at::randn({kRows, kWidth}).mul_(0.1).set_requires_grad(true);
  const at::Tensor weight = at::randn({kVocabulary, kWidth}).mul_(0.02).set_requires_grad(true);
  const at::Tensor targets = at::randint(0, kVocabulary, {kRows}, at::kLong);
  const at::Tensor gradient = at::empty({kVocabulary, kWidth});

  double ours_loss = 0.0, plain_loss = 0.0;
  const int64_t ours = PeakOf([&] {
    GradientSlot slot;
    slot.Bind(gradient);
    const at::Tensor loss = ops::LanguageLoss(x, {weight, &slot}, targets);
    ours_loss = loss.item<double>();
    torch::autograd::grad({loss}, {x});
  });
  const int64_t plain = PeakOf([&] {
    const at::Tensor loss = at::cross_entropy_loss(at::linear(x, weight), targets, {}, at::Reduction::Sum);
    plain_loss = loss.item<double>();
    torch::autograd::grad({loss}, {x, weight});
  });
  std::cout << "head of " << kRows << " rows, " << kVocabulary << " classes: " << ours / kMega << " MB, plain "
            << plain / kMega << " MB\n";
  EXPECT_NEAR(ours_loss, plain_loss, 1e-5 * plain_loss);
  // One chunk, x's gradient, and the products' own scratch; nothing that grows with rows times classes.
  EXPECT_LE(ours, 1.5 * ops::kLogitChunkBytes + kRows * kWidth * 4);
  EXPECT_GE(plain, int64_t{2} * kRows * kVocabulary * 4);
}

}  // namespace
}  // namespace stowage
