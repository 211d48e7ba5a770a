#include "memory/failing_source.h"

#include <cstdlib>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace stowage {
namespace {

class MallocSource final : public BlockSource {
 public:
  void* Allocate(size_t bytes) override { return std::malloc(bytes); }
  void Free(void* block, size_t) override { std::free(block); }
};

// Which of `sizes`, asked for in turn, are refused.
std::vector<int> Refused(FailingSource& source, const std::vector<size_t>& sizes) {
  std::vector<int> refused;
  for (size_t i = 0; i < sizes.size(); ++i) {
    void* block = source.Allocate(sizes[i]);
    if (block == nullptr) refused.push_back(static_cast<int>(i) + 1);
    if (block != nullptr) source.Free(block, sizes[i]);
  }
  return refused;
}

using Numbers = std::vector<int>;

TEST(FailingSourceTest, RefusesTheOneThatItWasArmedForCountedFromThere) {
  MallocSource malloc_source;
  FailingSource source(&malloc_source);
  const std::vector<size_t> five(5, 100);
  EXPECT_EQ(Refused(source, five), Numbers());
  source.Arm({3});
  EXPECT_EQ(Refused(source, five), Numbers({3}));
  EXPECT_EQ(source.refused(), 1);
  EXPECT_EQ(source.Disarm(), 5);
  EXPECT_EQ(Refused(source, five), Numbers());
  EXPECT_EQ(source.counted(), 5);
  source.Arm({0});
  EXPECT_EQ(Refused(source, five), Numbers());
  EXPECT_EQ(source.Disarm(), 5);
}

TEST(FailingSourceTest, RefusesAllFromThereOn) {
  MallocSource malloc_source;
  FailingSource source(&malloc_source);
  source.Arm({2, /*all_from_nth=*/true});
  EXPECT_EQ(Refused(source, {1, 1, 1, 1}), Numbers({2, 3, 4}));
}

TEST(FailingSourceTest, CountsOnlyThoseOfTheSizeAndThreadAskedFor) {
  MallocSource malloc_source;
  FailingSource source(&malloc_source);
  FailingSource::Plan plan;
  plan.nth = 2;
  plan.least_bytes = 50;
  plan.on_this_thread = true;
  source.Arm(plan);
  std::thread([&] { EXPECT_EQ(Refused(source, {100, 100, 100}), Numbers()); }).join();
  EXPECT_EQ(Refused(source, {49, 50, 10, 51, 100}), Numbers({4}));
  EXPECT_EQ(source.Disarm(), 3);
}

}  // namespace
}  // namespace stowage
