#include "memory/tracked_tensor.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "memory/counting_allocator.h"
#include "memory/name_scope.h"
#include "memory/test_books.h"
#include "memory/thread_counts.h"

namespace stowage {
namespace {

// Bytes from which on a planted tensor is larger than anything else in this process.
constexpr int64_t kLarge = 16 << 20;

TEST(TrackedTensorTest, TheTenLargestAreThoseThatWerePlanted) {
  TestBooks();
  std::vector<at::Tensor> planted;
  for (int i = 0; i < 12; ++i) {
    // 12 sizes in an order that is not theirs.
    const int64_t rows = 1 + (i * 5) % 12;
    planted.push_back(
        TrackedEmpty(absl::StrCat("planted ", rows), {rows, kLarge / 4}, at::kFloat, Category::kParameters));
  }
  std::vector<std::string> lines = LargestHolderLines(10);
  ASSERT_EQ(lines.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(lines[i],
              absl::StrCat(16 * (12 - i), " MiB parameters: planted ", 12 - i, " [", 12 - i, ", 4194304] F32"));
  }
  planted.clear();
  for (const std::string& line : LargestHolderLines(1000)) {
    EXPECT_EQ(line.find("planted"), std::string::npos) << "a name outlived its tensor: " << line;
  }
}

TEST(TrackedTensorTest, ATensorOfAScopeTellsItsScopeAndInstruction) {
  TestBooks();
  const Label name("h.3.attn gradients"), backward("backward h.3.attn");
  at::Tensor gradients;
  {
    const NameScope scope(name);
    const InstructionScope instruction(backward);
    const CategoryScope category(Category::kGradients);
    gradients = at::empty({kLarge});
    EXPECT_EQ(CurrentInstruction(), "backward h.3.attn");
  }
  EXPECT_EQ(CurrentInstruction(), "");
  EXPECT_EQ(LargestHolderLines(1),
            std::vector<std::string>{"64 MiB gradients: h.3.attn gradients, made by backward h.3.attn"});
  NameTensor("renamed", gradients.view({2, kLarge / 2}));
  EXPECT_EQ(LargestHolders(1)[0].name, "renamed");
  EXPECT_EQ(LargestHolders(1)[0].shape, (std::vector<int64_t>{2, kLarge / 2}));
}

TEST(TrackedTensorTest, SmallOnesAreListedBecauseTheyHaveANameAndOthersAreNot) {
  TestBooks();
  const auto named = [](const char* name) {
    int64_t count = 0;
    for (const Holder& holder : LargestHolders(100000)) count += holder.name == name;
    return count;
  };
  const Label scoped("scoped");
  {
    const NameScope scope(scoped);
    const at::Tensor tiny = at::empty({1023}), enough = at::empty({1024});
    EXPECT_EQ(named("scoped"), 1);
    const at::Tensor tracked = TrackedZeros("tracked", {2}, at::kHalf, Category::kData);
    EXPECT_EQ(named("tracked"), 1);
    EXPECT_EQ(tracked.sum().item<float>(), 0.0f);
  }
  EXPECT_EQ(named("scoped"), 0);
  EXPECT_EQ(named("tracked"), 0);
}

TEST(TrackedTensorTest, WhatIsNotOfTheAllocatorOrHoldsNothingIsLeftAlone) {
  TestBooks();
  float outside[4] = {};
  NameTensor("outside", at::from_blob(outside, {4}));
  const at::Tensor empty = TrackedEmpty("empty", {0, 3}, at::kFloat, Category::kData);
  for (const Holder& holder : LargestHolders(100000)) {
    EXPECT_NE(holder.name, "outside");
    EXPECT_NE(holder.name, "empty");
  }
}

TEST(TrackedTensorTest, EachThreadsAllocationsAreCounted) {
  TestBooks();
  const std::vector<ThreadCount> before = ThreadCounts();
  std::thread([] {
    for (int i = 0; i < 100; ++i) TrackedEmpty("t", {64}, at::kFloat, Category::kData);
  }).join();
  const std::vector<ThreadCount> after = ThreadCounts();
  EXPECT_EQ(after[0].allocations - before[0].allocations, 100);
  EXPECT_EQ(after[0].bytes - before[0].bytes, 25600);
}

}  // namespace
}  // namespace stowage
