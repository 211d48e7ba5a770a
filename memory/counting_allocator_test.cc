#include "memory/counting_allocator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "memory/test_books.h"

// Read by the address sanitizer alone: an allocation that cannot be served fails as it does without it.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace stowage {
namespace {

Ledger& Books() { return TestBooks(); }

TEST(CountingAllocatorTest, SecondLedgerIsRefusedAndTheSameOneIsNot) {
  Ledger& books = Books();
  EXPECT_TRUE(InstallCountingAllocator(&books).ok());
  Ledger other;
  EXPECT_EQ(InstallCountingAllocator(&other).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(CountingAllocatorTest, MatrixOf4096By4096AddsExactly67108864Bytes) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  {
    at::Tensor matrix = at::empty({4096, 4096});
    EXPECT_EQ(books.total_live() - before, 67108864);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix.data_ptr()) % 64, 0u);
  }
  EXPECT_EQ(books.total_live(), before);
}

TEST(CountingAllocatorTest, TensorIsCountedInTheScopeItWasMadeInWhereverItIsFreed) {
  Ledger& books = Books();
  at::Tensor moments;
  {
    CategoryScope scope(Category::kOptimizer);
    moments = at::empty({1000});
    EXPECT_EQ(books.live(Category::kOptimizer), 4000);
  }
  at::Tensor data;
  {
    CategoryScope scope(Category::kData);
    data = at::empty({10});
  }
  EXPECT_EQ(books.live(Category::kOptimizer), 4000);
  {
    CategoryScope scope(Category::kData);
    std::thread([freed = std::move(moments)]() mutable { freed.reset(); }).join();
    moments.reset();
  }
  EXPECT_EQ(books.live(Category::kOptimizer), 0);
  EXPECT_EQ(books.live(Category::kData), 40);
  data.reset();
  EXPECT_EQ(books.live(Category::kData), 0);
}

TEST(CountingAllocatorTest, PeakKeepsWhatWasFreed) {
  Ledger& books = Books();
  CategoryScope scope(Category::kActivations);
  at::Tensor kept = at::empty({100});
  books.ResetPeaks();
  { at::Tensor temporary = at::empty({900}); }
  EXPECT_EQ(books.live(Category::kActivations), 400);
  EXPECT_EQ(books.peak(Category::kActivations), 4000);
}

TEST(CountingAllocatorTest, EmptyTensorTakesNothing) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  at::Tensor empty = at::empty({0, 7});
  EXPECT_EQ(empty.numel(), 0);
  EXPECT_EQ(books.total_live(), before);
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  allocator->raw_deallocate(allocator->raw_allocate(0));
}

TEST(CountingAllocatorTest, RawAllocationsAreServedAndCounted) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  void* data = allocator->raw_allocate(1000);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(books.total_live() - before, 1000);
  allocator->raw_deallocate(data);
  EXPECT_EQ(books.total_live(), before);
}

TEST(CountingAllocatorTest, OperatorsWithWorkspacesOfTheirOwnWorkAndLeaveNothing) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  {
    at::Tensor product = at::mm(at::ones({128, 64}), at::ones({64, 32}));
    EXPECT_EQ(product.sum().item<float>(), 128 * 32 * 64);
    at::Tensor activated = at::gelu(product, "tanh");
    EXPECT_EQ(activated[0][0].item<float>(), 64.0f);
  }
  EXPECT_EQ(books.total_live(), before);
}

TEST(CountingAllocatorTest, WhatCannotBeAllocatedThrowsAndEntersNothing) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  const int64_t peak = books.total_peak();
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  for (size_t bytes : {std::numeric_limits<size_t>::max(), size_t{1} << 63, size_t{1} << 60}) {
    try {
      allocator->raw_deallocate(allocator->raw_allocate(bytes));
      ADD_FAILURE() << bytes << " bytes were allocated";
    } catch (const c10::OutOfMemoryError& error) {
      EXPECT_NE(std::string(error.what()).find("workspace"), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(books.total_live(), before);
  EXPECT_EQ(books.total_peak(), peak);
}

TEST(CountingAllocatorTest, EightThreadsOf100000OperationsEndAtZero) {
  Ledger& books = Books();
  const int64_t before = books.total_live();
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([allocator, t] {
      CategoryScope scope(static_cast<Category>(t % kCategories));
      // A ring, so that blocks live across others' operations: 100,000 operations, half of them frees.
      c10::DataPtr held[16];
      for (int i = 0; i < 50000; ++i) held[i % 16] = allocator->allocate(1 + (i * 37 + t) % 500);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(books.total_live(), before);
}

TEST(CountingAllocatorTest, TheWatchIsToldOfALargeBlockWhileItIsStillCounted) {
  class Watch final : public FreeWatch {
   public:
    void BeforeFree() override {
      ++calls;
      live = Books().total_live();
    }
    int calls = 0;
    int64_t live = 0;
  };
  Ledger& books = Books();
  const int64_t before = books.total_live();
  Watch watch;
  ASSERT_EQ(SetFreeWatch(&watch), nullptr);
  { const at::Tensor small = at::empty({1024}); }
  EXPECT_EQ(watch.calls, 0);
  { const at::Tensor large = at::empty({1 << 20}); }
  EXPECT_EQ(watch.calls, 1);
  EXPECT_EQ(watch.live - before, 4 << 20);
  EXPECT_EQ(SetFreeWatch(nullptr), &watch);
  { const at::Tensor large = at::empty({1 << 20}); }
  EXPECT_EQ(watch.calls, 1);
}

TEST(CountingAllocatorDeathTest, WritingBeforeTheBlockIsFoundWhenItIsFreed) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Books();
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  EXPECT_DEATH(
      {
        auto* data = static_cast<uint64_t*>(allocator->raw_allocate(64));
        data[-8] = 0;
        allocator->raw_deallocate(data);
      },
      "not of this allocator");
}

}  // namespace
}  // namespace stowage
