#include "trainer/state/refillable_tensor.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "memory/test_books.h"

namespace stowage {
namespace {

// torch::nn code saves the leaf or views of it: both must read what the second gather brought.
TEST(RefillableTensorTest, WhatAGraphSavedIsGoodAgainAfterARefill) {
  RefillableTensor flat("weights", 20, at::kFloat, Category::kParameters);
  at::Tensor leaf = flat.tensor().narrow(0, 4, 12).view({3, 4}).detach();
  leaf.set_requires_grad(true);
  EXPECT_FALSE(flat.present());
  const auto fill = [&] {
    flat.Take();
    for (int i = 0; i < 20; ++i) static_cast<float*>(flat.data())[i] = static_cast<float>(i);
  };
  fill();
  const at::Tensor x = at::ones({2, 4}).set_requires_grad(true);
  const at::Tensor y = at::matmul(x, leaf.t());
  const auto version = leaf._version();
  flat.Release();
  EXPECT_FALSE(flat.present());
  fill();
  EXPECT_EQ(leaf._version(), version);
  const at::Tensor dx = torch::autograd::grad({y.sum()}, {x})[0];
  for (int k = 0; k < 4; ++k) EXPECT_EQ(dx[0][k].item<float>(), 4 + 8 + 12 + 3 * k);  // a column's sum
}

TEST(RefillableTensorTest, TheLedgerHasItsBytesWhileTheyAreThere) {
  Ledger* const ledger = &TestBooks();
  const int64_t before = ledger->live(Category::kParameters);
  {
    RefillableTensor flat("weights", 1 << 20, at::kBFloat16, Category::kParameters);
    EXPECT_EQ(ledger->live(Category::kParameters), before);
    flat.Take();
    flat.Take();
    EXPECT_EQ(ledger->live(Category::kParameters) - before, 2 << 20);
    flat.Release();
    EXPECT_EQ(ledger->live(Category::kParameters), before);
    flat.Take();
  }
  EXPECT_EQ(ledger->live(Category::kParameters), before);
}

}  // namespace
}  // namespace stowage
